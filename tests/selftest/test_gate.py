"""The gate's self-test: runs that are made once, slow-downs that are real work, and what counts as found."""

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pruning_core import cli
from pruning_core.config.cells import latency_cells
from pruning_core.config.grid import make_grid
from pruning_core.errors import OptionError
from pruning_core.gate.policy import Policy
from pruning_core.progress import ProgressDisplay
from pruning_core.selftest import gate_trials, slowdown_plugin
from pruning_core.selftest.gate_command import render_gate_trials
from pruning_core.selftest.gate_trials import judge_runs, make_runs, plan_kinds
from pruning_core.store import Store
from pruning_core.suites.harness import Harness
from pruning_core.suites.wrapped_calls import WRAP_CALL
from pruning_core.workspace import Workspace
from tests.helpers import record_factory as factory
from tests.helpers.factories import write_user_model
from tests.helpers.gate_changes import all_of, noisy, slower, small_run

ROOT = Path(__file__).parents[2]
KINDS = plan_kinds(3, 2, 1, "onnxruntime")

GRID = """
ratios = [0.5]
backends = ["eager"]
batch_sizes = [2]
threads = 1
[train]
epochs = 0
batch_size = 4
[fine_tune]
epochs = 0
[latency]
min_rounds = 5
max_rounds = 5
warmup_ms = 0
sample_ms = 1.0
"""


def all_slower(content):
    """Let every dense eager cell reach a fraction less of the roofline."""
    for record in factory.records_of(content, "latency"):
        if record["is_control"]:
            for name in ("latency_ms", "latency_low_ms", "latency_high_ms", "latency_p05_ms"):
                record[name] *= 1.3
            record["roofline_fraction"] /= 1.3


@pytest.fixture
def runs(tmp_path):
    """Six finished runs: three alike, two with onnxruntime slower, one with everything slower."""
    for number in range(3):
        factory.write(small_run(seed=number, rounds=40), tmp_path / f"aa-{number + 1:02}.json")
    for number in range(2):
        content = small_run(seed=10 + number, rounds=40)
        slower(1.5)(content)
        factory.write(content, tmp_path / f"onnxruntime-10-{number + 1:02}.json")
    content = small_run(seed=20, rounds=40)
    all_slower(content)
    factory.write(content, tmp_path / "all-30-01.json")
    return tmp_path


def test_each_kind_is_judged_by_its_own_truth(runs):
    """Runs alike are compared with the one before; slowed ones with a neighbour, and found where injected."""
    trials = list(judge_runs(KINDS, runs, Policy()))
    assert [(t.kind, t.baseline, t.found) for t in trials] == [
        ("aa", "aa-01.json", False),
        ("aa", "aa-02.json", False),
        ("onnxruntime-10", "aa-01.json", True),
        ("onnxruntime-10", "aa-02.json", True),
        ("all-30", "aa-01.json", True),
    ]
    table = render_gate_trials(KINDS, trials)
    assert "0 false (0.0% [0.0, 65.8])" in table
    assert "2 found (100.0%" in table


def test_all_pairs_of_runs_is_judged_if_asked(runs):
    """All runs alike with one another, each slowed one with all of them; no interval is claimed for that."""
    trials = list(judge_runs(KINDS, runs, Policy(), all_pairs=True))
    assert [(t.baseline, t.new) for t in trials] == [
        ("aa-01.json", "aa-02.json"),
        ("aa-01.json", "aa-03.json"),
        ("aa-02.json", "aa-03.json"),
        *((f"aa-0{i}.json", f"onnxruntime-10-0{j}.json") for j in (1, 2) for i in (1, 2, 3)),
        *((f"aa-0{i}.json", "all-30-01.json") for i in (1, 2, 3)),
    ]
    table = render_gate_trials(KINDS, trials, all_pairs=True)
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in table.splitlines()]
    assert ["nothing", "3", "3", "0 false"] in rows
    assert ["onnxruntime +0.10", "2", "6", "6 found"] in rows


def test_what_is_inconclusive_is_judged_with_the_next_run(tmp_path):
    """More runs of a kind are merged while the verdict is inconclusive, never the baseline itself."""
    kinds = plan_kinds(3, 2, 0, "onnxruntime")
    changes = [noisy] * 3 + [all_of(slower(1.06), noisy), slower(1.5)]
    names = [f"aa-0{i}.json" for i in (1, 2, 3)] + [f"onnxruntime-10-0{i}.json" for i in (1, 2)]
    for seed, (name, change) in enumerate(zip(names, changes, strict=True)):
        content = small_run(seed=seed, rounds=40)
        change(content)
        factory.write(content, tmp_path / name)
    alone = list(judge_runs(kinds, tmp_path, Policy(), all_pairs=True))
    assert {t.runs for t in alone} == {1}
    assert [t.verdict for t in alone] == ["inconclusive"] * 6 + ["regressed"] * 3
    trials = list(judge_runs(kinds, tmp_path, Policy(), repeats=1, all_pairs=True))
    assert [(t.baseline, t.new) for t in trials if t.kind == "aa"] == [
        ("aa-01.json", "aa-02.json aa-03.json"),
        ("aa-01.json", "aa-03.json aa-02.json"),
        ("aa-02.json", "aa-03.json aa-01.json"),
    ]
    slowed = [t for t in trials if t.kind != "aa"]
    assert [(t.new, t.found, t.runs) for t in slowed] == [
        *[("onnxruntime-10-01.json onnxruntime-10-02.json", True, 2)] * 3,
        *[("onnxruntime-10-02.json", True, 1)] * 3,
    ]
    assert "| 6 found, 3 of them by one run |" in render_gate_trials(kinds, trials, all_pairs=True)


def test_a_baseline_may_be_of_several_runs(runs):
    """Each baseline is merged with the runs after it, never with what is compared with it."""
    trials = list(judge_runs(KINDS, runs, Policy(), repeats=1, baseline_runs=2, all_pairs=True))
    assert [(t.baseline, t.new) for t in trials if t.kind == "aa"] == [
        ("aa-01.json aa-03.json", "aa-02.json"),
        ("aa-01.json aa-02.json", "aa-03.json"),
        ("aa-02.json aa-01.json", "aa-03.json"),
    ]
    assert [t.baseline for t in trials if t.kind == "all-30"] == [
        "aa-01.json aa-02.json",
        "aa-02.json aa-03.json",
        "aa-03.json aa-01.json",
    ]
    assert all(t.found for t in trials if t.kind != "aa")


def test_a_regression_elsewhere_is_not_the_injected_one(runs):
    """A slow-down counts as found only where it was injected."""
    kinds = plan_kinds(3, 2, 1, "openvino")
    for number in (1, 2):
        shutil.move(runs / f"onnxruntime-10-0{number}.json", runs / f"openvino-10-0{number}.json")
    shutil.copy(runs / "openvino-10-01.json", runs / "all-30-01.json")
    slowed = [t for t in judge_runs(kinds, runs, Policy()) if t.kind != "aa"]
    assert [t.exit_code for t in slowed] == [1, 1, 1]
    assert [t.found for t in slowed] == [False, False, False]


def test_a_false_regression_is_counted(runs):
    """Any regression between runs alike is a false one."""
    shutil.copy(runs / "onnxruntime-10-01.json", runs / "aa-02.json")
    assert [t.found for t in judge_runs(KINDS, runs, Policy()) if t.kind == "aa"] == [True, False]


def test_runs_take_turns_and_are_made_once(runs, monkeypatch):
    """A run that is there is not made again; the others are made with kinds interleaved."""
    made = []
    monkeypatch.setattr(gate_trials, "_run_suites", lambda path, asked, _: made.append((path.name, asked)))
    (runs / "aa-01.json").unlink()
    (runs / "onnxruntime-10-01.json").unlink()
    (runs / "aa-02.json").unlink()
    steps = []
    make_runs(KINDS, runs, ["bench"], lambda done, total: steps.append((done, total)))
    assert made == [
        ("aa-01.json", ""),
        ("onnxruntime-10-01.json", "onnxruntime=0.10"),
        ("aa-02.json", ""),
    ]
    assert steps[-1] == (5, 6)


@pytest.mark.parametrize(("backend", "slowed"), [("eager", True), ("*", True), ("openvino", False)])
def test_a_slowdown_is_real_work_in_every_call(tmp_path, monkeypatch, backend, slowed):
    """On the backend named, each timed call is followed by work; answers and other backends stay."""
    monkeypatch.syspath_prepend(str(tmp_path))
    slowdowns = []

    def noting(call, slowdown):
        slowdowns.append(slowdown)
        return call

    monkeypatch.setattr(slowdown_plugin, "with_extra_work", noting)
    monkeypatch.setenv(slowdown_plugin.VARIABLE, f"{backend}=0.25")
    config = SimpleNamespace(stash=pytest.Stash())
    slowdown_plugin.pytest_configure(config)
    grid = make_grid(
        {
            "model": write_user_model(tmp_path, "slowed_nets"),
            "ratios": "0.5",
            "batch_sizes": "2",
            "threads": 1,
            "train": {"epochs": 0},
            "fine_tune": {"epochs": 0},
            "latency": {"min_rounds": 5, "max_rounds": 5, "warmup_ms": 0, "sample_ms": 0.5},
        }
    )
    workspace = Workspace(Store(tmp_path / "store"), ProgressDisplay())
    harness = Harness(grid, workspace, wrap_call=config.stash[WRAP_CALL])
    harness.latency_record(next(iter(latency_cells(grid))))
    assert slowdowns == ([0.25] * 2 if slowed else [])  # the control and its copy


@pytest.mark.slow
def test_the_whole_self_test(tmp_path, monkeypatch, capsys):
    """Runs in processes of their own, with and without a slow-down; a second call makes none."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "bench", project / "bench")
    (project / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    model = write_user_model(project, "whole_nets")
    (project / "bench" / "grids" / "small.toml").write_text(f'model = "{model}"\n{GRID}')
    (project / "bench" / "thresholds.toml").write_text("")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(project)]))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    arguments = ["selftest", "gate", "--folder", "runs", "--runs=2", "--slowed=1", "--all-slowed=0"]
    arguments += ["--backend=eager", "--grid=small", "--store=store", "--json=out.json"]
    cli.cli.main(arguments, standalone_mode=False)
    assert "injected: eager +0.10" in capsys.readouterr().out  # a terminal of 80 columns
    content = json.loads((project / "out.json").read_text())
    assert [trial["kind"] for trial in content["trials"]] == ["aa", "eager-10"]
    assert content["machine"]["threads"] == 1
    before = {path: path.stat().st_mtime_ns for path in (project / "runs").glob("*.json")}
    assert len(before) == 3
    time.sleep(0.02)
    cli.cli.main(arguments, standalone_mode=False)
    assert before == {path: path.stat().st_mtime_ns for path in (project / "runs").glob("*.json")}


def test_a_run_that_fails_is_said_and_not_kept(tmp_path):
    """A run of the suites that ends badly gets one line with its log, and leaves no run behind."""
    with pytest.raises(OptionError, match=r"exit code \d; see .*aa-01\.log"):
        make_runs(plan_kinds(2, 0, 0, "eager"), tmp_path / "runs", ["--no-such-option"], lambda *_: None)
    assert [path.suffix for path in (tmp_path / "runs").iterdir()] == [".log"]

"""Runs of one change, merged: what each adds, what is left out, and what is no repetition."""

import math
import random
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from pruning_core import cli
from pruning_core.errors import RecordError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.gate.render import summarize
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.gate.result import GateResult
from pruning_core.process.ending import Verdict
from pruning_core.records.run import Run
from tests.helpers import record_factory as factory
from tests.helpers.backend_runs import OPENVINO, slowed
from tests.helpers.backend_runs import run as run_of_backends
from tests.helpers.gate_changes import (
    ACC,
    CONTROL,
    COST,
    LAT,
    Change,
    Content,
    cell_of,
    setting,
    slower,
    small_run,
)

Record = dict[str, Any]


def changed(content: Content, change: Change) -> Content:
    """Change a run, and return it."""
    change(content)
    return content


def as_runs(folder: Path, *contents: Content) -> list[Run]:
    """Write runs as `run-0.json`, … and read them back."""
    return [factory.as_run(content, folder, f"run-{i}.json") for i, content in enumerate(contents)]


def merged(folder: Path, *contents: Content) -> Run:
    """Merge runs by the built-in policy."""
    return merge_repetitions(as_runs(folder, *contents), Policy())


def judge(folder: Path, baseline: Content, *contents: Content) -> GateResult:
    """Compare merged runs with a baseline."""
    return compare(factory.as_run(baseline, folder, "baseline.json"), merged(folder, *contents), Policy())


def record_of(run: Run, identity: tuple[str, str]) -> Record:
    """Return a cell's record."""
    (found,) = [r for r in run.records if (r["suite"], r["cell"]) == identity]
    return found


def test_a_single_run_is_left_as_it_is(tmp_path: Path) -> None:
    """Nothing is said or changed where there is nothing to merge."""
    (run,) = as_runs(tmp_path, small_run())
    assert merge_repetitions([run], Policy()) is run


def test_rounds_of_all_and_the_lowest_5th_percentile(tmp_path: Path) -> None:
    """A latency cell gets every run's rounds, their speed-up and interval, and the lowest percentile."""
    first, second = small_run(seed=0), small_run(seed=1)
    setting(LAT, latency_p05_ms=7.0, peak_memory_bytes=111)(first)
    setting(LAT, latency_p05_ms=6.0, peak_memory_bytes=222)(second)
    both = record_of(merged(tmp_path, first, second), LAT)
    ratios = [*factory.find(first, LAT)["log_ratios"], *factory.find(second, LAT)["log_ratios"]]
    assert both["log_ratios"] == ratios
    assert both["rounds"] == len(ratios)
    assert both["speedup"] == pytest.approx(math.exp(-median(ratios)))
    assert math.exp(-max(ratios)) <= both["speedup_low"] < both["speedup"] < both["speedup_high"]
    assert both["latency_p05_ms"] == 6.0
    assert both["peak_memory_bytes"] == 222
    swapped = record_of(merged(tmp_path, second, first), LAT)
    assert swapped["latency_p05_ms"] == 6.0


def test_a_noisy_run_is_cleared_up_by_another(tmp_path: Path) -> None:
    """A slower backend that a contended run left open is found with a second run; unchanged ones pass."""

    baseline, first, second = (run_of_backends(seed, spread=0.01) for seed in (0, 3, 50))
    source = random.Random(3)
    for record in factory.records_of(first, "latency"):
        record["latency_p05_ms"] *= math.exp(abs(source.gauss(0, 0.2)))  # neighbours only make calls slower
    assert cell_of(judge(tmp_path, baseline, first), OPENVINO).verdict == "inconclusive"
    assert cell_of(judge(tmp_path, baseline, first, second), OPENVINO).verdict == "pass"
    for content in (first, second):
        slowed(1.10)(content)
    assert cell_of(judge(tmp_path, baseline, first), OPENVINO).verdict == "inconclusive"
    assert cell_of(judge(tmp_path, baseline, first, second), OPENVINO).verdict == "regressed"


def test_more_rounds_decide_what_one_run_cannot(tmp_path: Path) -> None:
    """A cell that was inconclusive with a few rounds is decided by those of two more runs."""
    runs = [changed(small_run(seed=seed, rounds=5), slower(1.07)) for seed in (2, 3, 4)]
    baseline = small_run(seed=1, rounds=40)
    assert cell_of(judge(tmp_path, baseline, runs[0]), LAT).verdict == "inconclusive"
    assert cell_of(judge(tmp_path, baseline, *runs), LAT).verdict == "regressed"


@pytest.mark.parametrize("which", [0, 1])
def test_times_of_a_run_whose_control_was_off_are_left_out(tmp_path: Path, which: int) -> None:
    """Such a run adds no rounds and no percentile; which it was is said."""
    pair = [small_run(seed=0), small_run(seed=1)]
    off = pair[which]
    slower(1.5, CONTROL)(off)
    setting(LAT, latency_p05_ms=0.001)(off)
    run = merged(tmp_path, *pair)
    assert record_of(run, LAT) == record_of(merged(tmp_path, pair[1 - which]), LAT)
    (note,) = run.notes[1:]
    assert note.startswith(f"times of run-{which}.json on cpu are left out: contaminated (A/A control 0.6")
    result = judge(tmp_path, small_run(seed=2), *pair)
    assert note in summarize(result)
    assert cell_of(result, LAT).verdict == "pass"


def test_accuracy_of_a_run_whose_control_was_off_counts(tmp_path: Path) -> None:
    """A busy machine excuses slow calls, not wrong predictions."""
    pair = [changed(small_run(seed=0), slower(1.5, CONTROL)), small_run(seed=1)]
    factory.set_right(factory.find(pair[0], ACC), 200)
    assert cell_of(judge(tmp_path, small_run(seed=2), *pair), ACC).verdict == "regressed"


@pytest.mark.parametrize("which", [0, 1])
def test_a_failure_in_a_run_whose_control_was_off_counts(tmp_path: Path, which: int) -> None:
    """A busy machine does not excuse a backend that predicts wrongly, in whichever run."""
    pair = [small_run(seed=0), small_run(seed=1)]
    slower(1.5, CONTROL)(pair[which])
    setting(LAT, status="failed", failure="agrees on too few images")(pair[which])
    assert cell_of(judge(tmp_path, small_run(seed=2), *pair), LAT).verdict == "regressed"


def test_where_no_control_holds_nothing_is_left_out(tmp_path: Path) -> None:
    """Times that no run's control vouches for are not judged, as with a single run."""
    pair = [changed(small_run(seed=seed), slower(1.5, CONTROL)) for seed in (0, 1)]
    run = merged(tmp_path, *pair)
    assert len(run.notes) == 1
    assert cell_of(judge(tmp_path, small_run(seed=2), *pair), LAT).verdict == "inconclusive"


@pytest.mark.parametrize("which", [0, 1])
def test_a_contaminated_cell_is_left_out(tmp_path: Path, which: int) -> None:
    """Of a cell that was contaminated in one run the other counts; of one contaminated in both, none."""
    pair = [small_run(seed=0), small_run(seed=1)]
    setting(LAT, contaminated=True)(pair[which])
    both = record_of(merged(tmp_path, *pair), LAT)
    assert both["log_ratios"] == factory.find(pair[1 - which], LAT)["log_ratios"]
    assert not both["contaminated"]
    setting(LAT, contaminated=True)(pair[1 - which])
    assert record_of(merged(tmp_path, *pair), LAT)["contaminated"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_failure_in_any_run_counts(tmp_path: Path, which: int) -> None:
    """Failed once is failed, and the lowest accuracy counts."""
    pair = [small_run(seed=0), small_run(seed=1)]
    setting(ACC, status="failed", failure="too low")(pair[which])
    result = judge(tmp_path, small_run(seed=2), *pair)
    assert cell_of(result, ACC).verdict == "regressed"
    pair = [small_run(seed=0), small_run(seed=1)]
    factory.set_right(factory.find(pair[which], ACC), 200)
    assert cell_of(judge(tmp_path, small_run(seed=2), *pair), ACC).verdict == "regressed"


def test_records_without_times_are_taken_as_they_are(tmp_path: Path) -> None:
    """Costs, and times of an older schema, are those of the first run."""
    pair = [small_run(seed=0), small_run(seed=1)]
    for content in pair:
        del factory.find(content, LAT)["latency_p05_ms"]
    run = merged(tmp_path, *pair)
    for identity in (COST, LAT):
        assert record_of(run, identity) == record_of(merged(tmp_path, pair[0]), identity)


def test_rounds_of_training_are_merged_too(tmp_path: Path) -> None:
    """A training cell that was disturbed in the first run is cleared up by another one."""
    pair = [small_run(seed=0), small_run(seed=1)]
    for number, content in enumerate(pair):
        record = dict(factory.find(content, LAT))
        for name in ("latency_p05_ms", "images_per_s", "backend", "precision"):
            record.pop(name, None)
        record |= {"suite": "training", "cell": "net-training", "step_ms": 3.0 + number}
        entry = {"name": "t", "fullname": "t", "extra_info": record, "stats": {}}
        content["benchmarks"].append(entry)
    identity = ("training", "net-training")
    both = record_of(merged(tmp_path, *pair), identity)
    assert both["rounds"] == sum(factory.find(content, identity)["rounds"] for content in pair)
    assert both["step_ms"] == 3.0
    factory.find(pair[0], identity)["contaminated"] = True
    alone = record_of(merged(tmp_path, *pair), identity)
    assert (alone["contaminated"], alone["step_ms"]) == (False, 4.0)


def other_commit(content: Content) -> None:
    """Say that the run is of another commit."""
    content["commit_info"] = {"id": "f" * 40}


def other_fingerprint(content: Content) -> None:
    """Move the run to another machine."""
    content["machine_info"]["pruning_bench"]["fingerprint"] = "other"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_fingerprint, "run-1.json is no repetition of .*run-0.json: their machines or versions differ"),
        (other_commit, "no repetition of .*: commit [0-9a-f]{12} there, ffffffffffff here"),
        (lambda c: factory.remove(c, COST), f"only one of them has cost/{COST[1]}"),
        (setting(COST, key="e" * 32), f"the checkpoint of cost/{COST[1]} is another one"),
        (lambda c: factory.repeat(c, COST), "run-1.json has duplicate cells"),
    ],
    ids=["machine", "commit", "cells", "checkpoint", "twice"],
)
def test_other_things_are_not_taken_merged(tmp_path: Path, change: Change, words: str) -> None:
    """Runs that are not of one commit, machine and grid are refused, with what differs."""
    with pytest.raises(RecordError, match=words):
        merged(tmp_path, small_run(), changed(small_run(), change))
    with pytest.raises(RecordError):
        merged(tmp_path, changed(small_run(), change), small_run())


def test_a_commit_that_is_not_known_is_not_held_against_it(tmp_path: Path) -> None:
    """Outside of a repository there is no commit to compare."""
    bare = small_run()
    bare["commit_info"] = {}
    assert merged(tmp_path, bare, small_run()).repetitions
    assert merged(tmp_path, small_run(), bare).repetitions


def test_the_command_takes_further_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gate BASELINE NEW AGAIN` merges NEW and AGAIN, and says so with both names."""
    paths = [factory.write(small_run(seed=seed, rounds=40), tmp_path / f"{seed}.json") for seed in range(3)]
    with pytest.raises(Verdict) as ended:
        cli.cli.main(["gate", *map(str, paths)], standalone_mode=False)
    assert ended.value.exit_code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 runs are merged: the rounds of all, of each cell the lowest 5th percentile of calls" in shown
    assert "this run: 1.json, 2.json · " in shown
    assert "Judged again after each of 2 runs, such chances add up" in shown
    with pytest.raises(Verdict):
        cli.cli.main(["gate", *map(str, paths[:2])], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "merged" not in shown
    assert "add up" not in shown


def test_the_command_takes_a_baseline_of_several_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--baseline-repeat` is merged with the baseline; one slow baseline then hides no slow-down."""
    slow = small_run(seed=0, rounds=40)
    for record in factory.records_of(slow, "latency"):
        if record["is_control"]:
            record["latency_p05_ms"] *= 1.3
    worse = small_run(seed=2, rounds=40)
    for record in factory.records_of(worse, "latency"):
        if record["is_control"]:
            record["latency_p05_ms"] *= 1.35
    contents = {"slow": slow, "usual": small_run(seed=1, rounds=40), "worse": worse}
    files = {
        name: str(factory.write(content, tmp_path / f"{name}.json")) for name, content in contents.items()
    }
    with pytest.raises(Verdict) as ended:
        cli.cli.main(["gate", files["slow"], files["worse"]], standalone_mode=False)
    assert ended.value.exit_code == 0
    capsys.readouterr()
    arguments = ["gate", files["slow"], files["worse"], "--baseline-repeat", files["usual"]]
    with pytest.raises(Verdict) as ended:
        cli.cli.main(arguments, standalone_mode=False)
    assert ended.value.exit_code == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "of the baseline, 2 runs are merged: the rounds of all" in shown
    assert "baseline: slow.json, usual.json · " in shown
    assert "add up" not in shown

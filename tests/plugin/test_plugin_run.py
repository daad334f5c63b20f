"""The suites as a user runs them: `pytest bench/ --benchmark-json`, on a small network of the user's own."""

import json
import os
import re
from dataclasses import replace
from statistics import geometric_mean, median

import pytest

import pruning_core.backends.eager
import pruning_core.shapes.targets
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline
from pruning_core import pytest_plugin
from pruning_core.records.fields import SCHEMA_VERSION
from pruning_core.records.run import read_run
from pruning_core.selftest.latency_trials import with_extra_work
from pruning_core.suites.latency_session import LatencySession
from tests.helpers.plugin_run import LENIENT, OF_A_USER, ROOT, records


def test_the_main_job(suites, pytester):
    """One run writes a record for every cell of each suite, and the machine beside them."""
    result = suites()
    result.assert_outcomes(passed=2 + 4 + 8 + 1)
    shown = result.stdout.str()
    assert shown.index("inside what is measured") > shown.index("Legend:")  # ours is the last word
    run = read_run(pytester.path / "out.json")
    assert {r["suite"] for r in run.records} == {"cost", "accuracy", "latency", "training"}
    assert len({(r["suite"], r["cell"]) for r in run.records}) == len(run.records) == 15
    assert all(r["schema_version"] == SCHEMA_VERSION and r["status"] == "ok" for r in run.records)
    assert run.machine["threads"] == 1
    assert run.machine["fingerprint"]
    dense, pruned = (r for r in run.records if r["suite"] == "cost")
    assert pruned["macs"] < dense["macs"]
    assert pruned["widths"]["inner"] == 16
    by_cell = {r["cell"]: r for r in run.records if r["suite"] == "latency"}
    head = "plugin_nets-tiny_model"
    assert next(iter(by_cell)) == f"{head}-digits-dense-eager-fp32-cpu-b1"
    for name, record in by_cell.items():
        assert record["speedup_low"] <= record["speedup"] <= record["speedup_high"]
        assert record["is_control"] == (record["reference"] == name)
        assert len(record["log_ratios"]) == record["rounds"] == 5
    assert by_cell[f"{head}-digits-magnitude-0.5-eager-bf16-cpu-b3"]["reference"] == (
        f"{head}-digits-dense-eager-bf16-cpu-b3"
    )
    assert by_cell[f"{head}-digits-dense-eager-bf16-cpu-b3"]["reference"] == (
        f"{head}-digits-dense-eager-fp32-cpu-b3"
    )


def test_stats_are_seconds_per_call_of_this_cell(suites, pytester):
    """pytest-benchmark's own numbers are this cell's times, raw samples kept; a latency is of its rounds."""
    suites("-k", "latency")
    for entry in json.loads((pytester.path / "out.json").read_text())["benchmarks"]:
        record, stats = entry["extra_info"], entry["stats"]
        assert len(stats["data"]) == 2 * record["rounds"]
        rounds = [geometric_mean(pair) for pair in zip(stats["data"][::2], stats["data"][1::2], strict=True)]
        assert median(rounds) == pytest.approx(record["latency_ms"] / 1e3)


def test_the_second_run_trains_nothing(suites, pytester, monkeypatch):
    """Another run on the same store only loads."""
    suites("-k", "cost").assert_outcomes(passed=2)
    monkeypatch.setattr("pruning_core.chain.training.train", None)  # calling it would fail
    suites("-k", "cost").assert_outcomes(passed=2)


def test_how_long_it_takes_is_said_before_the_first_training(suites, pytester, capfd):
    """The suites say it as `prepare` does, counting what this selection needs, and not when all is stored."""
    for times in (1, 0):
        result = suites("-k", "cost", f"--store={pytester.path / 'fresh'}", "-s")
        result.assert_outcomes(passed=2)
        captured = capfd.readouterr()
        shown = captured.out + captured.err
        assert shown.count("making 2 checkpoints takes about") == times


MISTAKES = {
    "model": (["--model=resnet81"], "no model 'resnet81'. Did you mean 'resnet18'"),
    "dataset": (["--dataset=digit"], "no dataset 'digit'. Did you mean 'digits'"),
    "method": (["--method=magnitud"], "no pruning method 'magnitud'"),
    "backend": (["--backends=eagre"], "no backend 'eagre'. Did you mean 'eager'"),
    "precision": (["--backends=eager:fp7"], "no precision 'fp7'"),
    "precision of a backend": (["--backends=onnxruntime:bf16"], "onnxruntime"),
    "ratios": (["--ratios=0.5,2"], "in [0, 1]; got 2"),
    "batch sizes": (["--batch-sizes=0"], "at least 1"),
    "device": (["--devices=cuda:7"], "cuda:7"),
    "device name": (["--devices=gpu"], "gpu"),
    "grid": (["--grid=slow"], "no grid 'slow'"),
    "dataset not there": (["--dataset=folder:nowhere"], "nowhere"),
    "thresholds": (["--thresholds=none.toml"], "cannot read thresholds none.toml"),
    "store": (["--store=/dev/null/store"], "cannot write the store"),
    "no thresholds": (["--thresholds="], "--thresholds needs a path; got an empty text"),
    "no store": (["--store="], "--store needs a path; got an empty text"),
    "no grid": (["--grid="], "no grid ''"),
    "no model": (["--model="], "needs at least one name"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_the_run_with_one_line(suites, pytester, capfd, name):
    """A user's mistake ends the session before anything is trained: exit code 2, one line, no traceback."""
    arguments, expected = MISTAKES[name]
    result = suites(*arguments)
    captured = capfd.readouterr()
    shown = result.stdout.str() + result.stderr.str() + captured.out + captured.err
    assert result.ret == 2
    assert expected in shown
    assert "Traceback" not in shown
    assert "ERROR collecting" not in shown


def test_speed_that_is_wrong_is_not_speed(suites, pytester, monkeypatch):
    """A backend whose answers are not those of eager fp32 fails in both suites, however fast it is."""
    copy_to = pruning_core.backends.eager.copy_to

    def copy_shuffled(model, *, precision, device):
        copied = copy_to(model, precision=precision, device=device)
        if precision == "bf16":
            last = [module for module in copied.modules() if hasattr(module, "out_features")][-1]
            last.weight.data = last.weight.data.flip(0)
        return copied

    monkeypatch.setattr(pruning_core.backends.eager, "copy_to", copy_shuffled)
    result = suites("-k", "accuracy or latency", "--batch-sizes=1")
    result.assert_outcomes(passed=4, failed=4)
    failed = [r for r in records(pytester) if r["status"] == "failed"]
    assert {(r["suite"], r["precision"]) for r in failed} == {("accuracy", "bf16"), ("latency", "bf16")}
    assert all("of the answers are those of eager fp32, below 0.9000" in r["failure"] for r in failed)
    assert all(r["agreement"] < 0.9 and r["logit_difference"] > 0 for r in failed)


def test_devices_that_are_absent_are_skipped_with_the_reason(suites, pytester):
    """Of several devices those that are here are measured; the others say why not."""
    result = suites("-rs", "-k", "latency", "--devices=cpu,cuda:9", "--batch-sizes=1", "--backends=eager")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*SKIPPED*'cuda:9' is not on this machine*"])
    assert {r["device"] for r in records(pytester)} == {"cpu"}


def test_under_xdist_latency_says_that_it_is_not_measured(suites, pytester):
    """Side by side nothing can be timed: latency is skipped, the summary says why, nothing else changes."""
    result = suites("-n1", "-k", "latency", "--batch-sizes=1", "--backends=eager", "-W", "default")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*2 cells were not timed*xdist*"])


def test_pytest_benchmarks_own_outputs_go_on_working(suites, pytester, monkeypatch):
    """--benchmark-compare, --benchmark-histogram and `pytest-benchmark compare --csv` read our entries."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(pytester.path)]))
    asked = ("-k", "latency", "--batch-sizes=1", "--backends=eager")
    suites(*asked, "--benchmark-save=first").assert_outcomes(passed=2)
    # In a process of its own: pygal imports importlib_metadata, which switches the standard one off for good.
    compared = ("--benchmark-compare=0001", "--benchmark-histogram=chart")
    result = suites(*asked, *compared, start=pytester.runpytest_subprocess)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_latency*(0001_first)*"])
    assert list(pytester.path.glob("chart*.svg"))
    pytester.run("pytest-benchmark", "compare", "0001", "--csv=out")
    rows = (pytester.path / "out.csv").read_text().splitlines()
    assert len(rows) == 1 + 2
    assert "median" in rows[0]


def test_a_failed_threshold_is_written_into_the_record(suites, pytester):
    """A cell below its floor fails, and its record says so with the figures."""
    (pytester.path / "bench" / "thresholds.toml").write_text(
        "[[threshold]]\nmethod = 'magnitude'\nmin_accuracy = 1.0\nmin_agreement = 0.9\n" + LENIENT
    )
    result = suites("-k", "accuracy")
    result.assert_outcomes(passed=2, failed=2)
    failed = [r for r in records(pytester) if r["status"] == "failed"]
    assert len(failed) == 2
    assert all("is below its floor 1.0000" in r["failure"] for r in failed)
    assert {r["min_accuracy"] for r in failed} == {1.0}


@pytest.fixture
def partial_control(monkeypatch):
    """Give one of the two identical models of each A/A control more work than the other."""
    prepare = LatencySession._prepare_group

    def favour_one(session, members, asked):
        group, ready = prepare(session, members, asked)
        if members[0].is_control:
            group = replace(group, reference=with_extra_work(group.reference, 4.0))
        return group, ready

    monkeypatch.setattr(LatencySession, "_prepare_group", favour_one)


def test_a_run_whose_control_left_the_tolerance_says_so(suites, pytester, partial_control):
    """When two identical models are not equally fast, latency records are marked and the summary says it."""
    result = suites("-k", "latency or cost")
    result.stdout.fnmatch_lines(["*times are contaminated*identical models gave a speed-up of* 1 ± 0.9*"])
    assert {r["suite"]: r.get("contaminated") for r in records(pytester)} == {"cost": None, "latency": True}


def test_the_pages_suite_gives_no_verdict_on_contaminated_times(suites, pytester, partial_control):
    """A suite of a user's that asks for a speed-up is skipped, its record kept and marked."""
    (suite,) = re.findall(
        r"```python\n(# bench/test_mine.py\n.*?)```", OF_A_USER.read_text(), flags=re.DOTALL
    )
    (pytester.path / "bench" / "test_mine.py").write_text(suite)
    result = suites(
        "-rs", "--ratios=0.75", "--batch-sizes=1", "--backends=eager", folder="bench/test_mine.py"
    )
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*times are contaminated: *speed-up*"])
    assert {(r["ratio"], r["contaminated"]) for r in records(pytester)} == {(0.0, True), (0.75, True)}


def test_shuffled_tests_run_in_the_grids_order(suites, pytester):
    """Whatever order a plugin wants: controls first, backend by backend."""
    conftest = pytester.path / "bench" / "conftest.py"
    conftest.write_text(
        "import pytest\n\n\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    )
    suites("-k", "latency")
    shuffled = [r["cell"] for r in records(pytester)]
    conftest.unlink()
    suites("-k", "latency")
    assert shuffled == [r["cell"] for r in records(pytester)]


def test_disabled_benchmarks_say_what_they_do(suites, pytester):
    """--benchmark-disable skips latency with a reason; accuracy is still asserted."""
    shown = suites("--benchmark-disable", "-rs")
    shown.stdout.fnmatch_lines(["*SKIPPED*times are not measured*"])
    shown.assert_outcomes(passed=6, skipped=9)


def test_an_exhausted_step_is_recorded_and_not_measured(suites, pytester):
    """A step that removes nothing has its cost and the mark; its accuracy and latency are skipped."""
    suites("--ratios=0.9,1.0", "--backends=eager", "--batch-sizes=1")
    last = [r for r in records(pytester) if r["ratio"] == 1.0]
    assert [(r["suite"], r["exhausted"]) for r in last] == [("cost", True)]


def test_a_suite_of_another_repository(pytester, suites):
    """A test anywhere may ask for the fixtures."""
    pytester.makepyfile(
        test_mine="""
        def test_mine(accuracy_cell, harness):
            assert harness.models.evaluate(accuracy_cell).n == 359
        """
    )
    suites(folder="test_mine.py").assert_outcomes(passed=4)


def test_pytest_benchmark_has_what_we_use(benchmark):
    """Pins pytest-benchmark: samples handed over become its stats."""
    if benchmark.disabled:
        pytest.skip("--benchmark-disable")
    pytest_plugin.record_samples(benchmark, [0.25, 0.5, 0.75], {"cell": "x"})
    assert benchmark.stats.stats.median == 0.5
    assert benchmark.extra_info == {"cell": "x"}


def test_a_plugin_can_change_what_is_timed(suites, pytester):
    """What it puts under `WRAP_CALL` takes each call that is timed, with its cell."""
    (pytester.path / "wrapping.py").write_text(
        "from pathlib import Path\n\nfrom pruning_core.suites.wrapped_calls import WRAP_CALL\n\n\n"
        "def pytest_configure(config):\n"
        "    def wrap(cell, call):\n"
        "        Path('wrapped', cell.id).touch()\n"
        "        return call\n\n"
        "    Path('wrapped').mkdir()\n"
        "    config.stash[WRAP_CALL] = wrap\n"
    )
    suites("-p", "wrapping", "-k", "latency", "--backends=eager", "--batch-sizes=1").assert_outcomes(passed=2)
    cells = {r["cell"] for r in records(pytester)}
    assert {path.name for path in (pytester.path / "wrapped").iterdir()} == cells

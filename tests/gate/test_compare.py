"""The gate: each of its rules in one case, its exit codes, and what it must not import."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import RecordError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.gate.render import to_markdown
from pruning_core.records.fields import FIELD_BY_NAME
from pruning_core.records.run import Run
from tests.helpers import record_factory as factory
from tests.helpers.gate_case import SKIP_TIMES, Case
from tests.helpers.gate_cases import CASES
from tests.helpers.gate_changes import (
    ACC,
    CONTROL,
    COST,
    LAT,
    correct,
    judge,
    other_machine,
    retrained,
    setting,
    slower,
    small_run,
)
from tests.helpers.gate_time_cases import TIME_CASES


@pytest.mark.parametrize("case", [*CASES, *TIME_CASES], ids=lambda case: case.name.replace(" ", "-"))
def test_each_rule_gives_its_verdict_and_exit_code(tmp_path: Path, case: Case) -> None:
    """A single change leads to the verdict, the words and the exit code of its rule."""
    new, baseline = small_run(), small_run()
    case.new(new)
    case.baseline(baseline)
    result = judge(tmp_path, new, baseline, case.policy)
    (found,) = [c for c in result.cells if (c.suite, c.cell) == case.cell]
    assert (found.verdict, result.exit_code) == (case.verdict, case.exit_code), found.reason
    assert case.words in found.reason


def test_nothing_else_changes_with_one_cell(tmp_path: Path) -> None:
    """A slow-down of one cell leaves every other cell's verdict at pass."""
    new = small_run()
    slower(1.5)(new)
    result = judge(tmp_path, new, small_run())
    assert [c.cell for c in result.cells if c.verdict != "pass"] == [LAT[1]]
    assert result.cells[0].cell == LAT[1]


def test_added_cells_are_named_and_do_not_fail(tmp_path: Path) -> None:
    """A cell that only the new run has is named in the summary."""
    baseline = small_run()
    factory.remove(baseline, COST)
    result = judge(tmp_path, small_run(), baseline)
    assert result.added == (COST,)
    assert f"cost/{COST[1]}" in to_markdown(result)


def test_no_overlap_is_no_pass(tmp_path: Path) -> None:
    """Two runs that share no cell cannot be compared."""
    result = judge(tmp_path, small_run(suites=("latency",)), small_run(suites=("cost",)))
    assert result.exit_code == 2
    assert {c.verdict for c in result.cells} == {"cannot-compare"}


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    """A run without records is an error, not a pass."""
    run = factory.as_run(small_run(), tmp_path)
    with pytest.raises(RecordError, match="nothing to compare"):
        compare(run, Run(tmp_path / "empty.json", "", {}, "", ()), Policy())


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    """A run written by a newer program is an error that says to update."""
    new = small_run()
    setting(COST, schema_version=99)(new)
    with pytest.raises(RecordError, match="Update pruning-bench"):
        judge(tmp_path, new, small_run())


def test_unpaired_images_need_a_larger_drop(tmp_path: Path) -> None:
    """A retrained checkpoint whose records do not say which images were correct is judged more widely."""
    new, baseline = small_run(paired=False), small_run(paired=False)
    correct(337)(new)
    setting(ACC, key="f" * 32)(new)
    result = judge(tmp_path, new, baseline)
    (found,) = [c for c in result.cells if (c.suite, c.cell) == ACC]
    assert found.verdict == "inconclusive"
    assert "not paired" in found.reason
    assert "1 checkpoints were retrained" in " ".join(result.notes)
    correct(300)(new)
    assert judge(tmp_path, new, baseline).exit_code == 1


def test_one_checkpoint_is_counted_not_estimated(tmp_path: Path) -> None:
    """The same weights on the same images: what is lost is exact, also on another machine and unpaired."""
    for paired in (True, False):
        new, baseline = small_run(paired=paired), small_run(paired=paired)
        correct(337)(new)
        other_machine(new)
        result = judge(tmp_path, new, baseline, SKIP_TIMES)
        (found,) = [c for c in result.cells if (c.suite, c.cell) == ACC]
        assert found.verdict == "regressed"
        assert "of the same checkpoint" in found.reason


def test_a_new_checkpoint_whose_images_are_not_paired_needs_more_of_a_drop(tmp_path: Path) -> None:
    """Without correct_bits the noise of both runs counts: three points of 360 images tell nothing."""
    new, baseline = small_run(paired=False), small_run(paired=False)
    correct(337)(new)
    retrained(new)
    result = judge(tmp_path, new, baseline)
    (found,) = [c for c in result.cells if (c.suite, c.cell) == ACC]
    assert found.verdict == "inconclusive"
    assert "images not paired" in found.reason


def test_accuracy_of_a_latency_run_is_judged(tmp_path: Path) -> None:
    """Where no accuracy suite ran, the accuracy in the latency record is judged."""
    new, baseline = small_run(suites=("latency",)), small_run(suites=("latency",))
    factory.set_right(factory.find(new, LAT), 250)
    result = judge(tmp_path, new, baseline)
    assert (result.cells[0].cell, result.cells[0].verdict) == (LAT[1], "regressed")
    assert "accuracy" in result.cells[0].reason


@pytest.mark.parametrize(
    "name",
    # Written out, so that the gate cannot forget one of them unnoticed.
    [
        "model",
        "dataset",
        "dataset_fingerprint",
        "method",
        "ratio",
        "schedule",
        "scope",
        "round_to",
        "protect",
        "ratio_of",
        "max_ratio",
        "seed",
        "backend",
        "precision",
        "device",
        "accuracy_n",
        "batch_size",
        "reference",
        "is_control",
    ],
)
def test_records_of_different_things_are_not_compared(tmp_path: Path, name: str) -> None:
    """Where a field that says what was measured differs, it is named and nothing is compared."""
    baseline, new = (factory.as_run(small_run(), tmp_path) for _ in range(2))
    (record,) = [r for r in new.records if (r["suite"], r["cell"]) == LAT]
    kind = FIELD_BY_NAME[name].kind
    record[name] = {str: "other", int: 7, float: 0.125, bool: not record.get(name)}[kind]
    (found,) = [c for c in compare(baseline, new, Policy()).cells if (c.suite, c.cell) == LAT]
    assert found.verdict == "cannot-compare"
    assert found.reason.startswith(f"{name} differs: baseline ")


def test_speeds_and_accuracies_are_judged_apart(tmp_path: Path) -> None:
    """A loss of three points is found however many latency cells the run has."""
    new = factory.make_content(ratios=(0.25, 0.5, 0.75, 0.95))
    correct(337)(new)
    result = judge(tmp_path, new, factory.make_content(ratios=(0.25, 0.5, 0.75, 0.95)))
    assert [(c.suite, c.cell) for c in result.cells if c.verdict == "regressed"] == [ACC]


def test_many_cells_ask_for_more_evidence(tmp_path: Path) -> None:
    """A slow-down that would be clear by itself is not, when it may be the worst of many cells."""
    verdicts = []
    for batch_sizes in ((32,), tuple(range(1, 41))):
        shape: dict[str, Any] = {"batch_sizes": batch_sizes, "backends": ("eager:fp32", "onnxruntime:fp32")}
        new, baseline = (factory.make_content(suites=("latency",), rounds=7, **shape) for _ in range(2))
        slower(1.0525)(new)
        (found,) = [c for c in judge(tmp_path, new, baseline).cells if c.cell == LAT[1]]
        slower(1.02)(new)
        (clear,) = [c for c in judge(tmp_path, new, baseline).cells if c.cell == LAT[1]]
        verdicts.append((found.verdict, clear.verdict))
    assert verdicts == [("inconclusive", "regressed"), ("inconclusive", "inconclusive")]
    assert "not among all cells of the run" in clear.reason


def test_a_pass_says_what_changed_only(tmp_path: Path) -> None:
    """The reason of a cell that passes names what changed, not what stayed."""
    new = small_run()
    factory.find(new, COST)["params"] = 10
    (found,) = [c for c in judge(tmp_path, new, small_run()).cells if (c.suite, c.cell) == COST]
    assert "improved" in found.reason
    assert "the same" not in found.reason


def test_one_checkpoint_with_one_score_has_no_noise(tmp_path: Path) -> None:
    """The same key with the same number of correct predictions passes, however few the images are."""
    new = small_run(paired=False)
    other_machine(new)
    result = judge(tmp_path, new, small_run(paired=False), SKIP_TIMES)
    reasons = {c.reason for c in result.cells if c.suite == "accuracy"}
    assert reasons == {"accuracy the same, 350 of 360", "accuracy the same, 348 of 360"}
    assert result.exit_code == 0


def test_a_control_is_no_cell_to_slow_down(tmp_path: Path) -> None:
    """An A/A control within its tolerance passes as what it is, and is not judged for speed."""
    (found,) = [c for c in judge(tmp_path, small_run(1), small_run()).cells if (c.suite, c.cell) == CONTROL]
    assert found.verdict == "pass"
    assert found.reason.startswith("A/A control within tolerance")


def test_report_and_gate_do_not_import_torch_and_gate_not_pandas() -> None:
    """The report and the gate start where torch is not installed; the gate needs neither pandas nor NumPy."""
    code = (
        "import sys, pruning_core.gate\n"
        "assert not {'torch', 'pandas', 'numpy', 'rich'} & set(sys.modules)\n"
        "import pruning_core.report\n"
        "assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)\n"
        "from pruning_core.gate import *"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

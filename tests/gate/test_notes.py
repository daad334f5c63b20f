"""What the gate says of two runs as wholes, and what it cannot see."""

from pathlib import Path
from typing import Any

from pruning_core.gate.policy import Policy
from tests.helpers import record_factory as factory
from tests.helpers.gate_case import SKIP_TIMES
from tests.helpers.gate_changes import (
    CONTROL,
    LAT,
    judge,
    other_machine,
    small_run,
    without_field,
)


def notes(folder: Path, new: Any, baseline: Any, policy: Policy | None = None) -> str:
    """Return what the gate says of two runs as wholes."""
    return "\n".join(judge(folder, new, baseline, policy).notes)


def test_what_the_gate_cannot_see_is_said(tmp_path: Path) -> None:
    """Where a slow-down of every model alike would not show, the notes say why."""
    assert "against this machine's own roofline" in notes(tmp_path, small_run(), small_run())
    for which, change in (("this run", 0), ("the baseline", 1)):
        pair = [small_run(), small_run()]
        without_field(CONTROL, "roofline_fraction")(pair[change])
        assert f"{which} has no roofline" in notes(tmp_path, *pair)
    elsewhere = small_run()
    other_machine(elsewhere)
    assert "between unlike machines this gate cannot see it" in notes(tmp_path, elsewhere, small_run())
    assert "alike" not in notes(tmp_path, small_run(suites=("cost",)), small_run(suites=("cost",)))


def test_a_run_without_control_is_said(tmp_path: Path) -> None:
    """A run with times and no A/A control is said to be one; with a control, or without times, it is not."""
    words = "no A/A control: nothing says whether its times can be trusted"
    bare = small_run()
    factory.remove(bare, CONTROL)
    assert words in notes(tmp_path, bare, small_run())
    assert words not in notes(tmp_path, small_run(), small_run())
    assert words not in notes(tmp_path, small_run(suites=("cost",)), small_run())


def test_how_to_gate_the_rest_is_said_once(tmp_path: Path) -> None:
    """On another machine the notes say how to judge the rest only, unless the policy says so already."""
    elsewhere = small_run()
    other_machine(elsewhere)
    words = 'set on_other_machine = "skip"'
    assert words in notes(tmp_path, elsewhere, small_run())
    assert words not in notes(tmp_path, elsewhere, small_run(), SKIP_TIMES)
    assert "times were not compared" not in notes(tmp_path, small_run(), small_run())


def test_facts_of_the_machine_matter_to_times_only(tmp_path: Path) -> None:
    """A run without times is not told that a version differs."""
    new = small_run(suites=("cost",))
    new["machine_info"]["pruning_bench"]["torch"] = "2.14.0"
    assert "torch differs" not in notes(tmp_path, new, small_run(suites=("cost",)))


def test_retrained_checkpoints_are_counted_once(tmp_path: Path) -> None:
    """A checkpoint that was retrained counts once, however many cells it has; an added cell does not."""
    new, baseline = small_run(), small_run()
    assert "retrained" not in notes(tmp_path, new, baseline)
    for record in factory.records_of(new, "latency"):
        if record["ratio"]:
            record["key"] = "f" * 32
    assert "1 checkpoints were retrained" in notes(tmp_path, new, baseline)
    for identity in (LAT, ("latency", LAT[1].replace("onnxruntime", "eager"))):
        factory.remove(baseline, identity)
    assert "retrained" not in notes(tmp_path, new, baseline)

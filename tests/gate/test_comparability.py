"""What the gate says of two runs as wholes: their machines, their controls, what it cannot see."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.comparability import SOFTWARE
from pruning_core.gate.compare import Policy
from pruning_core.system.machine import VERSIONS
from tests.helpers import record_factory as factory
from tests.helpers.gate_case import SKIP_TIMES
from tests.helpers.gate_changes import (
    CONTROL,
    LAT,
    cell_of,
    judge,
    lacking,
    no_machine,
    other_machine,
    slower,
    small,
)


def notes(folder: Path, new: Any, baseline: Any, policy: Policy | None = None) -> str:
    """Return what the gate says of two runs as wholes."""
    return "\n".join(judge(folder, new, baseline, policy).notes)


def test_what_the_gate_cannot_see_is_said(tmp_path: Path) -> None:
    """Where a slow-down of every model alike would not show, the notes say why."""
    assert "against this machine's own ceiling" in notes(tmp_path, small(), small())
    for which, change in (("this run", 0), ("the baseline", 1)):
        pair = [small(), small()]
        lacking(CONTROL, "roofline_fraction")(pair[change])
        assert f"{which} has no ceiling" in notes(tmp_path, *pair)
    elsewhere = small()
    other_machine(elsewhere)
    assert "between unlike machines this gate cannot see it" in notes(tmp_path, elsewhere, small())
    assert "alike" not in notes(tmp_path, small(suites=("cost",)), small(suites=("cost",)))


def test_a_run_without_control_is_said(tmp_path: Path) -> None:
    """A run with times and no A/A control is said to be one; with a control, or without times, it is not."""
    words = "no A/A control: nothing says whether its times can be trusted"
    bare = small()
    factory.remove(bare, CONTROL)
    assert words in notes(tmp_path, bare, small())
    assert words not in notes(tmp_path, small(), small())
    assert words not in notes(tmp_path, small(suites=("cost",)), small())


def test_how_to_gate_the_rest_is_said_once(tmp_path: Path) -> None:
    """On another machine the notes say how to judge the rest only, unless the policy says so already."""
    elsewhere = small()
    other_machine(elsewhere)
    words = 'set on_other_machine = "skip"'
    assert words in notes(tmp_path, elsewhere, small())
    assert words not in notes(tmp_path, elsewhere, small(), SKIP_TIMES)
    assert "times were not compared" not in notes(tmp_path, small(), small())


def test_facts_of_the_machine_matter_to_times_only(tmp_path: Path) -> None:
    """A run without times is not told that a version differs."""
    new = small(suites=("cost",))
    new["machine_info"]["pruning_bench"]["torch"] = "2.14.0"
    assert "torch differs" not in notes(tmp_path, new, small(suites=("cost",)))


def test_remade_checkpoints_are_counted_once(tmp_path: Path) -> None:
    """A checkpoint that was made anew counts once, however many cells it has; an added cell does not."""
    new, baseline = small(), small()
    assert "made anew" not in notes(tmp_path, new, baseline)
    for record in factory.records_of(new, "latency"):
        if record["ratio"]:
            record["key"] = "f" * 32
    assert "1 checkpoints were made anew" in notes(tmp_path, new, baseline)
    for identity in (LAT, ("latency", LAT[1].replace("onnxruntime", "eager"))):
        factory.remove(baseline, identity)
    assert "made anew" not in notes(tmp_path, new, baseline)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"cpu_model": "other"},
            "Xeon of box-a, this run other. Measure the baseline again on this machine",
        ),
        (
            {"threads": 2},
            "torch_threads differs: baseline 8, this run 2. Measure the baseline again, or set --threads 8",
        ),
        (
            {"threads": 2, "cores": 4},
            "torch_threads differs: baseline 8, this run 2. Measure the baseline again on this",
        ),
        ({"cores": None}, "cores differs: baseline 8, this run none"),
        ({"caches": {"l2": "1 MB"}}, "caches.l2 differs: baseline none, this run 1 MB"),
        (
            {"name": "x", "os": "y", "memory_bytes": 1},
            "the fingerprint of the machine differs. Measure the baseline",
        ),
        (
            {"cpu_model": "a", "cores": 1, "torch": "1", "threads": 1, "gpu": "b"},
            "; and 2 more. Measure the baseline",
        ),
    ],
)
def test_unlike_machines_are_told_apart_in_words(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """What differs between two machines is named, three facts at most, with what to do about it."""
    new = small()
    new["machine_info"]["pruning_bench"].update(fingerprint="other", **change)
    assert words in cell_of(judge(tmp_path, new, small()), LAT).reason


def test_another_release_of_a_runtime_is_compared_and_named(tmp_path: Path) -> None:
    """Times are compared where only versions differ: a gate is asked about them. Hardware still bars."""
    for fact in SOFTWARE:
        new = small()
        new["machine_info"]["pruning_bench"].update({"fingerprint": "other", fact: "9.9"})
        slower(1.5)(new)
        result = judge(tmp_path, new, small())
        assert cell_of(result, LAT).verdict == "regressed"
        assert any(note.startswith(f"{fact} differs: baseline ") for note in result.notes)
        new["machine_info"]["pruning_bench"].update(cores=2)
        assert cell_of(judge(tmp_path, new, small()), LAT).verdict == "cannot-compare"


def test_versions_are_those_that_a_machine_is_described_by() -> None:
    """What counts as software is what the description of a machine reads from packages, and Python."""
    assert {"python", *VERSIONS} == SOFTWARE


def test_a_machine_without_a_name_is_said_in_either_run(tmp_path: Path) -> None:
    """It is said which of the two runs does not say where it ran."""
    bare = small()
    no_machine(bare)
    for pair, which in (((bare, small()), "this run"), ((small(), bare), "the baseline")):
        assert f"{which} does not say on which machine" in cell_of(judge(tmp_path, *pair), LAT).reason


@pytest.mark.parametrize("where", ["this run", "the baseline"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"contaminated": True}, "marked as contaminated (A/A control "),
        ({"contaminated": True, "contention": "a build"}, "contaminated (a build)"),
        ({"bounds": (0.7, 1.0)}, "contaminated (A/A control 0.700 to "),
        ({"bounds": (1.0, 1.3)}, " to 1.300, not known within 1 ± 0.25)"),
        ({"bounds": (1.06, 1.08)}, "A/A control 1.060 to 1.080, beyond 1 ± 0.05)"),
        ({"bounds": (0.9, 0.95)}, "A/A control 0.900 to 0.950, beyond 1 ± 0.05)"),
    ],
)
def test_a_spoiled_control_spoils_its_device(
    tmp_path: Path, where: str, fields: dict[str, Any], words: str
) -> None:
    """A control that left its tolerance decides over every time of its device, and says why."""
    spoiled = small()
    record = factory.find(spoiled, CONTROL)
    if "bounds" in fields:
        factory.set_bounds(record, *fields["bounds"])
    else:
        record.update(fields)
    pair = (spoiled, small()) if where == "this run" else (small(), spoiled)
    cell = cell_of(judge(tmp_path, *pair), LAT)
    assert cell.verdict == ("inconclusive" if where == "this run" else "cannot-compare")
    assert words in cell.reason


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.2), (1.04, 1.1), (0.85, 0.96)])
def test_noise_in_a_control_spoils_nothing(tmp_path: Path, low: float, high: float) -> None:
    """A control that may well be equal leaves times to be judged: the noise is in their intervals as well."""
    new = small()
    factory.set_bounds(factory.find(new, CONTROL), low, high)
    assert cell_of(judge(tmp_path, small(), new), LAT).verdict == "pass"


def test_the_worst_of_several_controls_is_named(tmp_path: Path) -> None:
    """Of two controls that left their tolerance, the one that is further off gives the reason."""
    for worse in (0, 1):
        new = small(batch_sizes=(1, 32))
        for number, batch in enumerate((1, 32)):
            control = factory.find(new, ("latency", f"resnet18-digits-dense-eager-fp32-cpu-b{batch}"))
            factory.set_bounds(control, 1.0, 1.5 if number == worse else 1.3)
        cell = cell_of(judge(tmp_path, new, small(batch_sizes=(1, 32))), LAT)
        assert "to 1.500" in cell.reason


def test_a_control_speaks_for_its_own_device(tmp_path: Path) -> None:
    """A spoiled control of one device leaves the times of another to be judged; a time is no control."""
    new, baseline = small(), small()
    for content in (new, baseline):
        content["benchmarks"] += small(device="cuda:0")["benchmarks"]
    factory.find(new, ("latency", "resnet18-digits-dense-eager-fp32-cuda0-b32"))["contaminated"] = True
    result = judge(tmp_path, new, baseline)
    assert cell_of(result, LAT).verdict == "pass"
    assert cell_of(result, ("latency", LAT[1].replace("cpu", "cuda0"))).verdict == "inconclusive"

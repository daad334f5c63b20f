"""The dense model against the machine's ceiling, beside everything else that the gate judges."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.compare import ALPHA_WEIGHTS, _levels_of
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import (
    ACC,
    CONTROL,
    LAT,
    cell_of,
    in_turn,
    judge,
    lacking,
    remade,
    right,
    setting,
    small,
)


def test_ceilings_do_not_blind_the_gate_to_accuracy(tmp_path: Path) -> None:
    """However many controls are judged against a ceiling, a loss of three points is found."""
    shape: dict[str, Any] = {"batch_sizes": tuple(range(1, 41)), "ratios": (0.5,)}
    new, baseline = (factory.make_content(**shape) for _ in range(2))
    in_turn(right(337), remade)(new)
    assert cell_of(judge(tmp_path, new, baseline), ACC).verdict == "regressed"


def test_many_cells_do_not_blind_the_gate_to_the_ceiling(tmp_path: Path) -> None:
    """A slow-down of all models alike is found however many latency cells the run has."""
    new, baseline = (factory.make_content(ratios=(0.25, 0.5, 0.75, 0.95)) for _ in range(2))
    setting(CONTROL, roofline_fraction=0.4 / 1.3)(new)
    result = judge(tmp_path, new, baseline)
    assert [(c.suite, c.cell) for c in result.cells if c.verdict == "regressed"] == [CONTROL]


def test_a_ceiling_is_compared_with_the_best_that_the_dense_model_did(tmp_path: Path) -> None:
    """A median that neighbours made slower is no slower program; a best that is slower is."""
    new = small()
    control = factory.find(new, CONTROL)
    for name in ("latency_ms", "latency_low_ms", "latency_high_ms"):
        control[name] *= 1.3
    control["roofline_fraction"] /= 1.3
    assert cell_of(judge(tmp_path, new, small()), CONTROL).verdict == "pass"
    control["latency_p05_ms"] *= 1.3
    assert cell_of(judge(tmp_path, new, small()), CONTROL).verdict == "regressed"


# Written out, so that the gate cannot forget one of them unnoticed.
@pytest.mark.parametrize("name", ["roofline_fraction", "latency_p05_ms"])
def test_a_ceiling_needs_all_its_fields(tmp_path: Path, name: str) -> None:
    """Where a control has lost what its ceiling is judged by, that is said, and its times are judged."""
    for which in (0, 1):
        pair = [small(), small()]
        lacking(CONTROL, name)(pair[which])
        result = judge(tmp_path, *pair)
        assert [part.metric for part in cell_of(result, CONTROL).parts] == ["control"]
        assert cell_of(result, LAT).verdict == "pass"
        assert "has no ceiling" in "\n".join(result.notes)


def test_the_chance_of_a_false_alarm_goes_to_the_families_that_there_are() -> None:
    """Where no accuracy is in question its share is not lost; all levels together are the policy's."""
    assert _levels_of(["speed", "ceiling"], 0.05) == {"speed": 0.025, "ceiling": 0.025}
    assert sum(_levels_of(ALPHA_WEIGHTS, 0.05).values()) == pytest.approx(0.05)

"""The dense model against the machine's roofline, among all else that the gate judges."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.policy import Policy
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import (
    ACC,
    CONTROL,
    LAT,
    all_of,
    cell_of,
    correct,
    judge,
    retrained,
    setting,
    small_run,
    without_field,
)


def test_rooflines_do_not_blind_the_gate_to_accuracy(tmp_path: Path) -> None:
    """However many controls are judged against a roofline, a loss of three points is found."""
    shape: dict[str, Any] = {"batch_sizes": tuple(range(1, 41)), "ratios": (0.5,)}
    new, baseline = (factory.make_content(**shape) for _ in range(2))
    all_of(correct(337), retrained)(new)
    assert cell_of(judge(tmp_path, new, baseline), ACC).verdict == "regressed"


def test_many_cells_do_not_blind_the_gate_to_the_roofline(tmp_path: Path) -> None:
    """A slow-down of all models alike is found however many latency cells the run has."""
    new, baseline = (factory.make_content(ratios=(0.25, 0.5, 0.75, 0.95)) for _ in range(2))
    setting(CONTROL, roofline_fraction=0.4 / 1.3)(new)
    result = judge(tmp_path, new, baseline)
    assert [(c.suite, c.cell) for c in result.cells if c.verdict == "regressed"] == [CONTROL]


def test_a_roofline_is_compared_with_the_5th_percentile_of_calls(tmp_path: Path) -> None:
    """A median that neighbours made slower is no slower program; a slower 5th percentile is."""
    new = small_run()
    control = factory.find(new, CONTROL)
    for name in ("latency_ms", "latency_low_ms", "latency_high_ms"):
        control[name] *= 1.3
    control["roofline_fraction"] /= 1.3
    assert cell_of(judge(tmp_path, new, small_run()), CONTROL).verdict == "pass"
    control["latency_p05_ms"] *= 1.3
    assert cell_of(judge(tmp_path, new, small_run()), CONTROL).verdict == "regressed"


# Written out, so that the gate cannot forget one of them unnoticed.
@pytest.mark.parametrize("name", ["roofline_fraction", "latency_p05_ms"])
def test_a_roofline_needs_all_its_fields(tmp_path: Path, name: str) -> None:
    """Where a control has no roofline to compare with, that is said, and its times are judged."""
    for which in (0, 1):
        pair = [small_run(), small_run()]
        without_field(CONTROL, name)(pair[which])
        result = judge(tmp_path, *pair)
        assert [finding.metric for finding in cell_of(result, CONTROL).findings] == ["control"]
        assert cell_of(result, LAT).verdict == "pass"
        assert "has no roofline" in "\n".join(result.notes)


def test_the_run_to_run_spread_is_the_policys(tmp_path: Path) -> None:
    """With a wider spread between runs the same slow-down is no longer certain."""
    new = small_run()
    setting(CONTROL, roofline_fraction=0.4 / 1.3)(new)
    verdicts = {}
    for spread in (0.03, 0.1):
        result = judge(tmp_path, new, small_run(), Policy(run_to_run_sd=spread))
        verdicts[spread] = cell_of(result, CONTROL).verdict
    assert verdicts == {0.03: "regressed", 0.1: "inconclusive"}

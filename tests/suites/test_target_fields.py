"""Records judge the targets that their ratio was found for, and only where they measure them."""

import pytest

from pruning_core.config.cells import latency_cells, variants
from pruning_core.config.grid import make_grid
from pruning_core.config.searched_grid import FoundRatio, SearchedGrid
from pruning_core.records.target_lines import target_lines
from pruning_core.records.targets import judge_target
from pruning_core.suites.target_fields import contaminate, cost_target_fields, latency_target_fields
from tests.helpers.factories import made

NAMES = ("resnet18", "digits", "magnitude")


def searched(ratio=0.5, **targets):
    """Return a grid in which one ratio was found for all of its targets."""
    grid = make_grid(targets)
    setting = "openvino:int8, batch 1"
    found = [FoundRatio(t, setting if t.kind.timed else "", True, ratio, 4.0, 3.9, 4.1) for t in grid.targets]
    return SearchedGrid.of(grid, tuple((NAMES, item) for item in found))


def timed(low, high, contaminated=False, unit="speedup"):
    """Return the fields of a latency record that a target is judged by."""
    names = ("speedup", "speedup_low", "speedup_high")
    if unit == "ms":
        names = ("latency_ms", "latency_low_ms", "latency_high_ms")
    return {**dict(zip(names, ((low + high) / 2, low, high), strict=True)), "contaminated": contaminated}


def judged(grid, record):
    """Return what the one cell that can says, and that no other does."""
    said = {cell: latency_target_fields(grid, cell, record) for cell in latency_cells(grid)}
    said = {cell: fields for cell, fields in said.items() if fields}
    assert len(said) == 1
    ((cell, fields),) = said.items()
    assert (cell.backend, cell.precision, cell.batch_size) == ("openvino", "int8", 1)
    assert cell.variant.ratio == 0.5
    return fields


@pytest.mark.parametrize(
    ("low", "high", "contaminated", "met"),
    [
        (3.9, 4.2, False, "met"),
        (3.81, 3.9, False, "met"),  # 5 % are allowed
        (3.7, 3.79, False, "missed"),
        (3.7, 4.2, False, "inconclusive"),
        (3.9, 4.2, True, "inconclusive"),
    ],
)
def test_a_speed_up_is_judged_by_its_interval(low, high, contaminated, met):
    """Met where the whole interval is within 5 % of the target or above, missed where none of it is."""
    grid = searched(target_speedup=4, target_on="openvino:int8")
    fields = judged(grid, timed(low, high, contaminated))
    assert fields["target"] == "4x on openvino:int8, batch 1"
    assert fields["target_met"] == met
    assert fields["target_reached"] == f"{float(f'{(low + high) / 2:.3g}'):g}x [{low:.3g}, {high:.3g}]"


@pytest.mark.parametrize(
    ("low", "high", "met"), [(1.9, 2.05, "met"), (2.2, 2.3, "missed"), (1.9, 2.3, "inconclusive")]
)
def test_a_latency_is_met_by_no_more_milliseconds(low, high, met):
    """Fewer are better."""
    grid = searched(target_latency_ms=2, target_on="openvino:int8")
    assert judged(grid, timed(low, high, unit="ms"))["target_met"] == met


def test_two_targets_of_one_ratio_stand_in_one_order():
    """Verdicts are as many as targets, and a line is said for each."""
    grid = searched(target_speedup="3,4", target_on="openvino:int8")
    fields = judged(grid, timed(3.0, 3.2))
    assert fields["target_met"] == "met; missed"
    record = {**fields, "model": "m", "dataset": "d", "method": "magnitude", "ratio": 0.5}
    assert list(target_lines([record], named=True)) == [
        "target 3x on openvino:int8, batch 1: met (m d magnitude ratio 0.5 reaches 3.1x [3, 3.2])",
        "target 4x on openvino:int8, batch 1: missed (m d magnitude ratio 0.5 reaches 3.1x [3, 3.2])",
    ]
    record = {**record, "suite": "latency", "contaminated": False}
    contaminate(record)
    assert record["target_met"] == "inconclusive; inconclusive"
    assert all("inconclusive, times are contaminated" in line for line in target_lines([record], named=False))


def test_counts_are_judged_exactly_by_the_cost_of_the_checkpoint():
    """Of MACs nothing may be missing; other variants are not judged."""
    grid = searched(target_macs="4x,1M", target_size_mb=1)
    dense, exact, more = (
        made().metrics.model_copy(update={"macs": n}) for n in (4_000_000, 1_000_000, 1_000_001)
    )
    of_dense, pruned = variants(grid)
    assert cost_target_fields(grid, of_dense, dense, dense) == {}
    fields = cost_target_fields(grid, pruned, exact, dense)
    assert fields["target"] == "4x fewer MACs; 1M MACs; 1 MB"
    assert fields["target_met"] == "met; met; met"
    assert cost_target_fields(grid, pruned, more, dense)["target_met"] == "missed; missed; met"


def test_a_target_that_dense_meets_is_judged_by_the_dense_cell():
    """Ratio 0 is dense."""
    grid = searched(ratio=0.0, target_macs="1G")
    (dense,) = variants(grid)
    assert cost_target_fields(grid, dense, made().metrics, made().metrics)["target_met"] == "met"


def test_a_grid_of_ratios_has_no_target():
    """Nothing is added to its records."""
    grid = make_grid({"ratios": [0.5], "backends": "openvino:int8"})
    assert all(latency_target_fields(grid, cell, timed(3, 4)) == {} for cell in latency_cells(grid))
    assert all(cost_target_fields(grid, v, made().metrics, made().metrics) == {} for v in variants(grid))


def test_bounds_on_the_edge():
    """Just enough is met."""
    assert [judge_target(0.95, 1.0), judge_target(0.5, 0.949), judge_target(1, 1, 0)] == [
        "met",
        "missed",
        "met",
    ]
    assert judge_target(0.999, 0.999, 0) == "missed"

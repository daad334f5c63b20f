"""What records say of targets: in the record that measures what a target is about, whether it is met.

A target of time is judged in the latency cell of its setting, one of a count in the cost of the checkpoint.
What was found of untrained shapes is not judged here: the checkpoint itself is.
"""

from collections.abc import Sequence
from typing import Any

from pruning_core.config.cells import Cell, Variant
from pruning_core.config.grid import Grid
from pruning_core.config.parse import parse_backend
from pruning_core.config.searched_grid import FoundRatio, SearchedGrid
from pruning_core.records.fields import Record
from pruning_core.records.mac_counts import counted_alike, counts_of
from pruning_core.records.target_lines import SEPARATOR
from pruning_core.records.targets import INCONCLUSIVE, judge_target
from pruning_core.store.checkpoint import Metrics
from pruning_core.suites.cell_fields import mac_fields


def cost_target_fields(grid: Grid, variant: Variant, metrics: Metrics, dense: Metrics) -> dict[str, Any]:
    """Return which targets of counts a checkpoint was made for, and whether it meets them; else nothing."""
    judged = []
    for item in _served(grid, variant, timed=False):
        target = item.target
        value = _count(target.key, metrics)
        if target.factor:
            value = _factor(target.key, metrics, dense)
        over = value / target.amount if target.factor else target.amount / max(value, 1e-9)
        digits = 4 if target.factor else 6
        text = target.kind.words(float(f"{value:.{digits}g}"), target.factor)
        judged.append((item.wanted, judge_target(over, over, 0.0), text))
    return _fields(judged)


def latency_target_fields(grid: Grid, cell: Cell, record: Record) -> dict[str, Any]:
    """Return which targets of time a cell was made for, and whether it meets them; else nothing.

    Args:
        grid: Of the run.
        cell: That was timed.
        record: With its times.
    """
    if not grid.target_on or (cell.backend, cell.precision) != parse_backend(grid.target_on):
        return {}
    if cell.batch_size != (grid.target_batch_size or 1):
        return {}
    judged = []
    for item in _served(grid, cell.variant, timed=True):
        amount, words = item.target.amount, item.target.kind.words
        if item.target.key == "target_speedup":
            value, *bounds = (record[name] for name in ("speedup", "speedup_low", "speedup_high"))
            low, high = (bound / amount for bound in bounds)
        else:
            value, *bounds = (record[name] for name in ("latency_ms", "latency_low_ms", "latency_high_ms"))
            high, low = (amount / bound for bound in bounds)
        verdict = INCONCLUSIVE if record["contaminated"] else judge_target(low, high)
        text = f"{words(float(f'{value:.3g}'), False)} [{bounds[0]:.3g}, {bounds[1]:.3g}]"
        judged.append((item.wanted, verdict, text))
    return _fields(judged)


def contaminate(record: Record) -> None:
    """Mark a record's times as not to be trusted, in place: then they meet no target and miss none."""
    record["contaminated"] = True
    if "target_met" in record and record.get("suite") == "latency":
        record["target_met"] = SEPARATOR.join([INCONCLUSIVE] * len(record["target_met"].split(SEPARATOR)))


def _served(grid: Grid, variant: Variant, *, timed: bool) -> list[FoundRatio]:
    """Return what was found for the targets that a variant was made for."""
    if not isinstance(grid, SearchedGrid):
        return []
    methods = grid.method if variant.is_dense else (variant.method,)
    found = [item for name in methods for item in grid.found_for(variant.model, variant.dataset, name)]
    served = [
        item
        for item in found
        if item.reached and item.ratio == variant.ratio and item.target.kind.timed == timed
    ]
    return list({item.target: item for item in served}.values())


def _count(key: str, metrics: Metrics) -> float:
    counts = {"target_macs": metrics.macs, "target_params": metrics.params}
    return counts[key] if key in counts else metrics.size_bytes / 1e6


def _factor(key: str, metrics: Metrics, dense: Metrics) -> float:
    """Return how many times fewer there are than of dense."""
    if key == "target_macs":
        before, now = counted_alike(counts_of(mac_fields(dense)), counts_of(mac_fields(metrics)))
        return (before or 0) / max(now or 0, 1e-9)
    return _count(key, dense) / max(_count(key, metrics), 1e-9)


def _fields(judged: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    if not judged:
        return {}
    names = ("target", "target_met", "target_reached")
    return {name: SEPARATOR.join(texts) for name, texts in zip(names, zip(*judged, strict=True), strict=True)}

"""Methods side by side at what is equal, with their controls: what each gains over them, seed by seed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev

from pruning_core.records.score import Measure
from pruning_core.report.estimate import Estimate
from pruning_core.report.method_notes import method_notes
from pruning_core.report.method_points import Points, base_of, comparisons_of, mean_of, networks_of
from pruning_core.report.run_index import RunIndex
from pruning_core.report.table import Column, Row, Table
from pruning_core.report.verdict import (
    BEATS,
    CONTROLS,
    control_of,
    difference_of,
    is_judged,
    judge,
    scratch_of,
)
from pruning_core.stats.scores import Interval

PREFIX = "methods: "
"""What titles of these tables begin with."""


def method_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each network that several methods were tried on, a row a method at each equal thing.

    Args:
        indexes: The runs, each of one seed.
    """
    for network in networks_of(indexes):
        dataset, model, measure = network
        for words, comparison in comparisons_of(indexes, network):
            title = f"{PREFIX}{model} on {dataset}{measure.brackets}{f', {words}' if words else ''}"
            yield _table(title, comparison, measure)


def _table(title: str, comparison: Mapping[str, Points], measure: Measure) -> Table:
    methods = dict.fromkeys(name for points in comparison.values() for name in points)
    first = next(iter(methods))
    against = [first, *(name for name in CONTROLS if name != first and name in map(base_of, methods))]
    kind, spread = ("points", "percent") if measure.is_accuracy else ("score", "score")
    columns = [
        Column("at", "at", "text", fixed=True, explanation="what is equal: a target, or the ratio"),
        Column("method", "method", "text", fixed=True),
        Column("seeds", "seeds", "count", explanation="how many were trained"),
        Column("mac_reduction", "MAC reduction ×", "factor"),
        Column("speedup", "speed-up", "factor", explanation="over dense, of the first seed; see below"),
        Column("score", measure.heading, "percent" if measure.is_accuracy else "score"),
        Column("deviation", "std dev", spread, explanation="standard deviation between seeds"),
        *(_difference_column(name, kind) for name in against),
        _difference_column("scratch", kind, "its own networks, or such of the same shape, with new weights"),
        Column("beats", "beats controls", "text", explanation=BEATS),
    ]
    verdicts = {
        (at, name): judge(name, points, measure, at)
        for at, points in comparison.items()
        for name in points
        if is_judged(name)
    }
    rows = [
        {"at": at, **_row(name, points, against, measure)}
        | {"beats": verdicts[at, name].words if (at, name) in verdicts else ""}
        for at, points in comparison.items()
        for name in points
    ]
    kept = [c for c in columns if c.fixed or any(row.get(c.id) not in (None, "") for row in rows)]
    every = [point for points in comparison.values() for own in points.values() for point in own]
    failures = tuple(dict.fromkeys(point.failure for point in every if point.failure))
    notes = tuple(method_notes(comparison, verdicts, first, measure))
    return Table(title, tuple(kept), tuple(rows), failures, notes)


def _difference_column(name: str, kind: str, whom: str = "") -> Column:
    from_whom = f" from {whom}" if whom else ""
    explanation = f"mean difference{from_whom} on the same seeds [95 % interval over seeds]"
    return Column(f"minus_{name}", f"− {name}", kind, explanation=explanation)


def _row(name: str, points: Points, against: Sequence[str], measure: Measure) -> Row:
    own = points[name]
    scores = [point.score for point in own]
    row: Row = {
        "method": name,
        "flags": "✗" if any(point.failure for point in own) else "",
        "seeds": len(own),
        "mac_reduction": mean_of([point.mac_reduction for point in own]),
        "speedup": next((point.speedup for point in own if point.speedup is not None), None),
        "score": fmean(scores),
        "deviation": stdev(scores) if len(scores) > 1 else None,
    }
    for other in against:
        compared = control_of(name, other, points) if other in CONTROLS else other
        if compared in points and compared != name:
            row[f"minus_{other}"] = _shown(difference_of(own, points[compared]))
    scratch = scratch_of(name, points)
    if scratch is not None:
        row["minus_scratch"] = _shown(difference_of(own, points[scratch]))
    return row


def _shown(difference: Interval | None) -> Estimate | None:
    if difference is None or not math.isfinite(difference.low):
        return None if difference is None else Estimate(difference.value)
    return Estimate(*difference)

"""Methods side by side at what is equal, with their controls: what each gains over them, seed by seed.

A method beats its controls where it does so on the same seeds by more than their spread: the interval of the
mean of the paired differences lies above zero for each control. No method is called the best otherwise.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev

from pruning_core.records.controls import DENSE_PLUS, THIN, architecture_of, is_control
from pruning_core.records.score import Measure
from pruning_core.report.estimate import Estimate
from pruning_core.report.method_points import (
    Point,
    Points,
    base_of,
    comparisons_of,
    control_of,
    mean_of,
    networks_of,
)
from pruning_core.report.run_index import RunIndex
from pruning_core.report.table import Column, Row, Table
from pruning_core.stats.paired import mean_difference
from pruning_core.stats.scores import Interval

PREFIX = "methods: "
"""What titles of these tables begin with."""

RANDOM = "random"
CONTROLS = (RANDOM, THIN, DENSE_PLUS)
YES, NO, UNKNOWN = "yes", "no", "not shown"

MAX_SENTENCES = 12
"""Differences that stand below a table in words; the columns hold all."""


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
        Column("beats", "beats controls", "text", explanation=_BEATS),
    ]
    rows = [
        {"at": what, **_row(name, points, against, measure)}
        for what, points in comparison.items()
        for name in points
    ]
    kept = [c for c in columns if c.fixed or any(row.get(c.id) not in (None, "") for row in rows)]
    every = [point for points in comparison.values() for own in points.values() for point in own]
    failures = tuple(dict.fromkeys(point.failure for point in every if point.failure))
    return Table(title, tuple(kept), tuple(rows), failures, tuple(_notes(comparison, rows, first, measure)))


_BEATS = (
    "whether the mean of the paired differences from random, scratch and thin is above zero, each by its "
    "95 % interval over seeds; not shown: an interval holds zero, or there is one seed or no control"
)


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
            row[f"minus_{other}"] = _shown(_difference(own, points[compared]))
    scratch = _scratch_of(name, points)
    if scratch is not None:
        row["minus_scratch"] = _shown(_difference(own, points[scratch]))
    chosen = not is_control(name) and base_of(name) != RANDOM
    row["beats"] = _verdict(name, points, measure) if chosen else ""
    return row


def _difference(own: Sequence[Point], others: Sequence[Point]) -> Interval | None:
    """Return the mean of own − other on the same seeds; None where there is none."""
    of_seed = {point.seed: point.score for point in others}
    differences = [point.score - of_seed[point.seed] for point in own if point.seed in of_seed]
    resolution = max(point.resolution for point in own)
    return mean_difference(differences, resolution=resolution) if differences else None


def _shown(difference: Interval | None) -> Estimate | None:
    if difference is None or not math.isfinite(difference.low):
        return None if difference is None else Estimate(difference.value)
    return Estimate(*difference)


def _scratch_of(name: str, points: Points) -> str | None:
    """Return the control that is a method's networks with new weights: its own, or one of the same shape."""
    if is_control(name):
        return None
    shape = {(point.macs, point.params) for point in points[name]}
    controls = sorted(
        (control for control in points if architecture_of(control)),
        key=lambda control: architecture_of(control) != name,
    )
    for control in controls:
        its_shape = {(point.macs, point.params) for point in points[control]}
        if architecture_of(control) == name or (its_shape == shape and (None, None) not in shape):
            return control
    return None


def _verdict(name: str, points: Points, measure: Measure) -> str:
    """Say whether a method beats all its controls by more than the spread over seeds."""
    controls = [*(control_of(name, control, points) for control in (RANDOM, THIN)), _scratch_of(name, points)]
    found = [_difference(points[name], points[control]) for control in controls if control is not None]
    gains = [_gain(difference, measure) for difference in found if difference is not None]
    if any(gain.high < 0 for gain in gains):
        return NO
    return YES if gains and all(gain.low > 0 for gain in gains) else UNKNOWN


def _gain(difference: Interval, measure: Measure) -> Interval:
    return difference.turned if measure.lower_is_better else difference


def _notes(
    comparison: Mapping[str, Points], rows: Sequence[Row], first: str, measure: Measure
) -> Iterator[str]:
    sentences: dict[int, list[str]] = {}  # by how many seeds both have
    for what, points in comparison.items():
        for name in points:
            if name == first or is_control(first) or first not in points:
                continue
            difference = _difference(points[name], points[first])
            if difference is not None:
                both = {point.seed for point in points[name]} & {point.seed for point in points[first]}
                text = f"at {what}: {name} − {first} = {_words(difference, measure)}"
                sentences.setdefault(len(both), []).append(text)
    for seeds, said in sorted(sentences.items(), reverse=True):
        more = f"; and {len(said) - MAX_SENTENCES} more" if len(said) > MAX_SENTENCES else ""
        of = f"{seeds} seeds" if seeds > 1 else "one seed, no interval"
        yield f"{of}: {'; '.join(said[:MAX_SENTENCES])}{more}."
    beating = [f"{row['method']} at {row['at']}" for row in rows if row.get("beats") == YES]
    if beating:
        yield f"beyond the spread over seeds, these beat their controls: {', '.join(beating)}."
    else:
        yield "no method beats its controls beyond the spread over seeds."
    every = list(comparison.values())
    names = {name for points in every for name in points}
    missing = [name for name in CONTROLS if name not in map(base_of, names)]
    missing += [] if any(architecture_of(name) for name in names) else ["scratch:METHOD"]
    if missing:
        yield f"controls that are not there: {', '.join(missing)}."
    for what, points in comparison.items():
        methods = {name: own for name, own in points.items() if not is_control(name)}
        missed = [name for name, own in methods.items() if any(what in point.missed for point in own)]
        if missed:
            yield f"at {what} not all checkpoints of these meet it: {', '.join(missed)}."
        epochs = {name: sorted({str(point.epochs) for point in own}) for name, own in methods.items()}
        if len(set(map(tuple, epochs.values()))) > 1:
            told = (f"{name} {' or '.join(own)}" for name, own in epochs.items())
            yield f"at {what} these were not fine-tuned for as many epochs: {', '.join(told)}."
    backends = sorted({point.backend for points in every for own in points.values() for point in own})
    yield f"scores and speed-ups: {' or '.join(backends)}; the smallest batch size that was timed."


def _words(difference: Interval, measure: Measure) -> str:
    def text(value: float) -> str:
        return f"{100 * value:+.2f}" if measure.is_accuracy else f"{value:+.4g}"

    unit = " points" if measure.is_accuracy else ""
    bounds = "" if math.isinf(difference.low) else f" [{text(difference.low)}, {text(difference.high)}]"
    return f"{text(difference.value)}{unit}{bounds}"

"""One cell's score before and now, of any task but classification: its drop, and its limit.

Records hold no value for each example, but intervals. A pruned cell is compared through the dense model where
that is the same in both runs: the bounds of its drop below dense are of pairs, in which what makes an example
hard cancels out. Else the two scores are compared by their own intervals. Evidence: `gate/README.md`.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from pruning_core.gate.accuracy import accuracy_findings
from pruning_core.gate.comparability import Comparability
from pruning_core.gate.finding import (
    PASS,
    REGRESSED,
    Bounds,
    Evidence,
    Finding,
    NoisyFinding,
    missing_fields,
)
from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record
from pruning_core.records.score import Measure, Score, measure_of, score_of
from pruning_core.stats.scores import Interval, bounds, growth_bounds, p_above, p_growth_above

_NO_INTERVAL = "no interval, since the task gives no value per example"
_GIVE_VALUES = "such values from its `evaluate`"

_SAME = 1e-9
"""Relative difference up to which two scores of a dense model are one model's, twice evaluated."""


class _Drop(NamedTuple):
    """Two intervals of which the growth is the drop, and how they were paired."""

    before: Interval
    now: Interval
    how: str


def measure_difference(baseline: Record, new: Record) -> str | None:
    """Return how two records differ in what they score, in words; None where they do not."""
    before, now = measure_of(baseline), measure_of(new)
    if before == now or all(measure is None or measure.is_accuracy for measure in (before, now)):
        return None
    return f"the score differs: baseline {_in_words(before)}, this run {_in_words(now)}"


def score_findings(
    baseline: Record, new: Record, tolerances: Tolerances, context: Comparability
) -> Iterator[Finding | NoisyFinding]:
    """Compare the scores of one cell, and the new one with its limit.

    Args:
        baseline: The record before.
        new: The record now, whose score is of the same measure.
        tolerances: Those of the cell.
        context: What holds for the two runs as wholes.
    """
    before, now = score_of(baseline), score_of(new)
    if before is None or now is None or now.measure.is_accuracy:
        yield from accuracy_findings(baseline, new, tolerances, context)
        return
    missing = missing_fields(baseline, new, "key")
    if missing:
        yield missing
        return
    margin, said = _margin(before, tolerances)
    same_checkpoint = baseline["key"] == new["key"]
    yield (
        _exact_drop(before, now, margin, said)
        if same_checkpoint
        else _noisy_drop(before, now, new["method"] == "dense", (margin, said), context.policy.confidence)
    )
    yield from _limit_finding(now, tolerances, context.policy.confidence)


def _in_words(measure: Measure | None) -> str:
    return f"{measure.name}, {measure.direction}" if measure else "none"


def _margin(before: Score, tolerances: Tolerances) -> tuple[float, str]:
    """Return how much worse a score may be, and that in words."""
    if tolerances.max_score_drop is not None:
        return tolerances.max_score_drop, f"tolerance {tolerances.max_score_drop:g}"
    share = tolerances.max_relative_score_drop
    margin = share * abs(before.value)
    return margin, f"tolerance {margin:.3g}, {100 * share:g} % of the baseline's"


def _exact_drop(before: Score, now: Score, margin: float, said: str) -> Finding:
    """Judge a drop of one checkpoint on the same examples: it is counted, see `accuracy._exact_drop`."""
    drop = now.measure.worse_by(before.value, now.value)
    slack = _SAME * max(abs(before.value), abs(now.value))
    name, texts = now.measure.name, _texts(before, now)
    word = "worse" if drop > 0 else "better"
    return Finding(
        metric="score",
        verdict=REGRESSED if drop > margin + slack else PASS,
        reason=(
            f"{name} {texts}: {word} by {now.measure.text(abs(drop))} with the same checkpoint, {said}"
            if drop
            else f"{name} the same, {now.text}"
        ),
        baseline=before.value,
        new=now.value,
        change=Bounds.exact(drop),
        changed=abs(drop) > slack,
    )


def _noisy_drop(
    before: Score, now: Score, is_dense: bool, tolerance: tuple[float, str], confidence: float
) -> NoisyFinding:
    margin, said = tolerance
    measure, n = now.measure, now.n or 0
    drop = measure.worse_by(before.value, now.value)
    compared = _to_compare(before, now, is_dense)
    change, evidence, how = Bounds(drop, -math.inf, math.inf), _no_evidence(), ""
    if compared:
        change = Bounds(drop, *growth_bounds(compared.before, compared.now, n, confidence))
        evidence = Evidence(
            p_value=p_growth_above(compared.before, compared.now, n, margin),
            within_tolerance=change.high <= margin,
        )
        how = f" [{_plain(change.low)}, {_plain(change.high)}] ({compared.how})"
        if drop < 0:
            how = f" [{_plain(-change.high)}, {_plain(-change.low)}] ({compared.how})"
    word = "worse" if drop >= 0 else "better"
    return NoisyFinding(
        metric="score",
        reason=f"{measure.name} {_texts(before, now)}: {word} by {_plain(abs(drop))}{how}, {said}",
        baseline=before.value,
        new=now.value,
        change=change,
        changed=drop != 0,
        evidence=evidence,
    )


def _to_compare(before: Score, now: Score, is_dense: bool) -> _Drop | None:
    """Return the intervals that tell how much worse a score has become; None where a run has none."""
    was, is_now = _drop_below_dense(before), _drop_below_dense(now)
    one_dense = None not in (before.dense, now.dense) and math.isclose(
        before.dense or 0.0, now.dense or 0.0, rel_tol=_SAME
    )
    if was and is_now and one_dense and not is_dense:
        return _Drop(was, is_now, "paired with dense")
    was, is_now = _badness(before), _badness(now)
    return _Drop(was, is_now, "examples not paired") if was and is_now else None


def _badness(score: Score) -> Interval | None:
    """Return a score with its interval, turned so that larger is worse."""
    if score.low is None or score.high is None:
        return None
    interval = Interval(score.value, score.low, score.high)
    return interval if score.measure.lower_is_better else interval.turned


def _drop_below_dense(score: Score) -> Interval | None:
    if score.drop is None or score.drop_low is None or score.drop_high is None:
        return None
    return Interval(score.drop, score.drop_low, score.drop_high)


def _limit_finding(now: Score, tolerances: Tolerances, confidence: float) -> Iterator[NoisyFinding]:
    measure, n = now.measure, now.n or 0
    name = "max_score" if measure.lower_is_better else "min_score"
    limit: float | None = getattr(tolerances, name)
    if limit is None:
        return
    badness = _badness(now)
    evidence, how = _no_evidence(), ""
    if badness:
        sign = 1 if measure.lower_is_better else -1
        low, high = bounds(badness, n, confidence)
        evidence = Evidence(p_value=p_above(badness, n, sign * limit), within_tolerance=high <= sign * limit)
        low, high = sorted((sign * low, sign * high))
        how = f" [{measure.text(low)}, {measure.text(high)}]"
    word = "at most" if measure.lower_is_better else "at least"
    yield NoisyFinding(
        metric=name,
        reason=f"{measure.name} {now.text}{how}, to be {word} {limit:g}",
        new=now.value,
        evidence=evidence,
    )


def _no_evidence() -> Evidence:
    return Evidence(p_value=1.0, within_tolerance=False, counter_evidence=_NO_INTERVAL, remedy=_GIVE_VALUES)


def _texts(before: Score, now: Score) -> str:
    others = (before.value, now.value)
    return f"{now.measure.text(before.value, *others)} → {now.measure.text(now.value, *others)}"


def _plain(value: float) -> str:
    return f"{value + 0.0:.3g}"  # never −0

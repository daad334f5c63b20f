"""Compare two proportions, of independent or of paired trials, and one proportion with a floor."""

import math
from collections.abc import Callable
from statistics import NormalDist

from pruning_core.stats.intervals import wilson_interval

_NORMAL = NormalDist()


def drop_bounds(
    baseline: int, baseline_n: int, new: int, new_n: int, confidence: float
) -> tuple[float, float]:
    """Bound the drop of an accuracy between two runs whose images are not paired.

    Args:
        baseline: Correct predictions of the baseline, of `baseline_n`.
        baseline_n: Its images.
        new: Correct predictions of the new run, of `new_n`.
        new_n: Its images.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Returns:
        Lower and upper bound of baseline accuracy − new accuracy, fractions in [−1, 1].

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", 1998,
    method 10.
    """
    low1, high1 = wilson_interval(baseline, baseline_n, 2 * confidence - 1)
    low2, high2 = wilson_interval(new, new_n, 2 * confidence - 1)
    p1, p2 = baseline / baseline_n, new / new_n
    drop = p1 - p2
    return drop - math.hypot(p1 - low1, high2 - p2), drop + math.hypot(high1 - p1, p2 - low2)


def p_drop_above(baseline: int, baseline_n: int, new: int, new_n: int, margin: float) -> float:
    """Return the level at which the lower bound of `drop_bounds` would just reach `margin`; at most 0.5."""
    return _smallest(
        lambda p: drop_bounds(baseline, baseline_n, new, new_n, 1 - p)[0] >= margin, 1e-12, 0.5 - 1e-9
    )


def paired_drop_bounds(lost: float, gained: float, n: int, confidence: float) -> tuple[float, float]:
    """Bound the drop of an accuracy between two runs over the same images.

    Args:
        lost: Images that were correct in the baseline only.
        gained: Images that are correct in the new run only.
        n: Images in all.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Returns:
        Lower and upper bound of the drop (lost − gained) ÷ n.

    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", 1998.
    """
    limit = _NORMAL.inv_cdf(confidence)
    drop = (lost - gained) / n
    low = _smallest(lambda margin: _tango(lost, gained, n, margin) <= limit, -1.0, drop)
    high = _smallest(lambda margin: _tango(lost, gained, n, margin) <= -limit, drop, 1.0)
    return low, high


def p_paired_drop_above(lost: float, gained: float, n: int, margin: float) -> float:
    """Return the chance of a paired drop this large or larger if it were `margin`; same source."""
    return 1 - _NORMAL.cdf(_tango(lost, gained, n, margin))


def p_accuracy_below(correct: int, n: int, floor: float) -> float:
    """Return the chance of so few correct predictions or fewer at accuracy `floor`, by Wilson's score."""
    if floor <= 0:
        return 1.0
    if floor >= 1:
        return 1.0 if correct == n else 0.0
    return _NORMAL.cdf((correct / n - floor) / math.sqrt(floor * (1 - floor) / n))


def _tango(lost: float, gained: float, n: int, margin: float) -> float:
    a = 2 * n
    b = -lost - gained + (2 * n - lost + gained) * margin
    c = -gained * margin * (1 - margin)
    rare = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # likeliest P(gained) given the margin
    variance = n * (2 * rare + margin * (1 - margin))
    excess = lost - gained - n * margin
    if variance <= 1e-12:
        return 0.0 if abs(excess) < 1e-9 else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def _smallest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where `holds` turns true between `low` and `high`; `high` if it stays false."""
    if holds(low):
        return low
    for _ in range(50):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high

"""Compare scores of which only a value and an interval are known: their difference, and one with a limit.

All in one orientation, larger is worse; a score of which higher is better is turned before (`turned`).
"""

import math
from statistics import NormalDist
from typing import NamedTuple

_NORMAL = NormalDist()
_Z_95 = _NORMAL.inv_cdf(0.975)


class Interval(NamedTuple):
    """A value with its bounds, which cover 95 %."""

    value: float
    low: float
    high: float

    @property
    def turned(self) -> "Interval":
        """The same with the other sign."""
        return Interval(-self.value, -self.high, -self.low)


def bounds(interval: Interval, n: int, confidence: float) -> tuple[float, float]:
    """Return the bounds of a value for another confidence.

    Args:
        interval: The value, bounded over `n` examples, by bootstrap say.
        n: Examples; of few the bounds become wider, of one endless.
        confidence: Coverage of each bound by itself, in (0.5, 1).
    """
    reach = _t_of(_NORMAL.inv_cdf(confidence), n)
    below, above = _errors(interval, n)
    return interval.value - _product(reach, below), interval.value + _product(reach, above)


def growth_bounds(before: Interval, now: Interval, n: int, confidence: float) -> tuple[float, float]:
    """Bound now − before from the intervals of both, not taking them for paired.

    Args:
        before: The value then.
        now: The value now.
        n: Examples of each.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general
    approach", 2008 (MOVER). Shared examples make both move together, and the bounds too wide, not too narrow.
    """
    return bounds(_growth(before, now), n, confidence)


def p_growth_above(before: Interval, now: Interval, n: int, margin: float) -> float:
    """Return the chance of a growth this large or larger if it were `margin`; same source."""
    return p_above(_growth(before, now), n, margin)


def p_above(interval: Interval, n: int, limit: float) -> float:
    """Return the chance of a value this large or larger if it were `limit`."""
    error, excess = _errors(interval, n)[0], interval.value - limit
    if not math.isfinite(error):
        return 1.0 if excess <= 0 else 0.5
    if error == 0:
        return 0.0 if excess > 0 else 1.0
    t, freedom = excess / error, n - 1
    # Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.8: Student's t as a normal deviate.
    z = t * (1 - 1 / (4 * freedom)) / math.sqrt(1 + t * t / (2 * freedom))
    return 1 - _NORMAL.cdf(z)


def _growth(before: Interval, now: Interval) -> Interval:
    value = now.value - before.value
    below = math.hypot(now.value - now.low, before.high - before.value)
    above = math.hypot(now.high - now.value, before.value - before.low)
    return Interval(value, value - below, value + above)


def _errors(interval: Interval, n: int) -> tuple[float, float]:
    """Return the standard error on either side; a bootstrap's own is too small by √(1 − 1/n)."""
    if n < 2:
        return math.inf, math.inf
    scale = math.sqrt(n / (n - 1)) / _Z_95
    below, above = interval.value - interval.low, interval.high - interval.value
    return max(below, 0.0) * scale, max(above, 0.0) * scale


def _t_of(z: float, n: int) -> float:
    """Return Student's t for a normal deviate, from the same formula; endless where `n` is too small."""
    if n < 2:
        return math.inf
    room = (1 - 1 / (4 * (n - 1))) ** 2 - z * z / (2 * (n - 1))
    return z / math.sqrt(room) if room > 0 else math.inf


def _product(reach: float, error: float) -> float:
    return 0.0 if error == 0 else reach * error

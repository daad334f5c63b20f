"""The mean of a few paired differences, with Student's interval: two methods on the same seeds."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from pruning_core.stats.scores import Interval


def mean_difference(
    differences: Sequence[float], confidence: float = 0.95, resolution: float = 0.0
) -> Interval:
    """Return the mean of paired differences and the interval that covers that of all seeds.

    Args:
        differences: One for each pair, at least one. Of one alone the interval is endless.
        confidence: Coverage, if differences vary as a normal distribution does.
        resolution: Each of the pair is rounded to multiples of this, as a count of images is: few seeds may
            show less spread than that alone makes.
    """
    mean, n = fmean(differences), len(differences)
    if n < 2:
        return Interval(mean, -math.inf, math.inf)
    deviation = max(stdev(differences), resolution / math.sqrt(6))  # of what rounding two scores leaves
    reach = student_quantile(n - 1, confidence) * deviation / math.sqrt(n)
    return Interval(mean, mean - reach, mean + reach)


def student_quantile(freedom: int, confidence: float) -> float:
    """Return the t that |T| stays below with this chance.

    Args:
        freedom: Degrees of freedom, at least one.
        confidence: In (0, 1).
    """
    low, high = 0.0, 1.0
    while _chance_within(high, freedom) < confidence:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _chance_within(middle, freedom) >= confidence else (middle, high)
    return high


def _chance_within(t: float, freedom: int) -> float:
    # Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total

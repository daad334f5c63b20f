"""Intervals for the two things we measure: a fraction of correct predictions, and a median.

Both hold without assuming a distribution of the noise: Wilson's for counts, order statistics for medians.
Tests between two samples: `rank_sum.py`, `proportions.py`.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

MAX_CONTROL_WIDTH = 0.25
"""An A/A control that is not known within this fraction of 1 says that no time there can be judged."""


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a proportion from a count.

    Args:
        successes: How many of the `n` trials succeeded.
        n: Number of trials, at least 1.
        confidence: Coverage, in (0, 1).

    Returns:
        Lower and upper bound, fractions in [0, 1].

    Raises:
        ValueError: If `n` is not positive or `successes` is not in [0, n].

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n >= 1; got successes={successes}, n={n}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and n successes the exact bound is 0 or 1; rounding must not step past it.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Bound the median of what `values` were drawn from, whatever their distribution.

    The interval runs from the k-th smallest to the k-th largest value, k as large as the asked-for
    coverage allows. With few values even the full range may cover less than was asked for: the coverage
    that was reached is returned, so that a caller can say so.

    Args:
        values: At least one value, in any order.
        confidence: Coverage asked for, in (0, 1).

    Returns:
        Lower bound, upper bound, and the exact coverage of that interval.

    Raises:
        ValueError: If `values` is empty.

    Source: the number of values below the median is binomial(n, 1/2); see David and Nagaraja,
    "Order Statistics", section 7.1.
    """
    if not values:
        raise ValueError("need at least one value")
    ordered = sorted(values)
    n = len(ordered)
    # coverage(k) = 1 - 2 * P(Binomial(n, 1/2) < k), for the interval [x_(k), x_(n+1-k)], k from 1
    below = 0.0
    best_k, coverage = 1, 1 - 2 * 0.5**n
    for k in range(1, n // 2 + 1):
        below += math.comb(n, k - 1) * 0.5**n
        if 1 - 2 * below < confidence:
            break
        best_k, coverage = k, 1 - 2 * below
    return ordered[best_k - 1], ordered[n - best_k], max(coverage, 0.0)


def control_problem(low: float, high: float, tolerance: float) -> str | None:
    """Return why an A/A control makes the times of its run untrusted; None when it does not.

    Two copies of a network whose times differ significantly show a bias, which may be in any pair of the
    run. A wide interval alone does not: that noise is in the other intervals too, and every verdict counts
    with it.

    Args:
        low: Lower bound of the ratio of the two copies' times.
        high: Its upper bound.
        tolerance: How far from 1 the ratio may be, a fraction.
    """
    if not (low <= 1 + tolerance and high >= 1 / (1 + tolerance)):
        return f"beyond 1 ± {tolerance:g}"
    width = max(tolerance, MAX_CONTROL_WIDTH)
    if not (low >= 1 / (1 + width) and high <= 1 + width):
        return f"not known within 1 ± {width:g}"
    return None

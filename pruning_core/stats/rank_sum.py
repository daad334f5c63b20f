"""Compare two samples by ranks: the test of a shift, its bounds, what it can find, and Holm's procedure.

Nothing here assumes that times are normally distributed. Intervals within one sample: `intervals.py`.
"""

import math
import random
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

MAX_EXACT_PAIRS = 2500
"""Up to this many pairs of values the null distribution is counted out; beyond, it is normal."""

MAX_VALUES = 1000
"""On either side, of which all differences are taken; with fewer values bounds are only wider."""

_NORMAL = NormalDist()


def p_shift_above(baseline: Sequence[float], new: Sequence[float], margin: float) -> float:
    """Test whether `new` lies more than `margin` above `baseline`, by ranks.

    Args:
        baseline: At least one value.
        new: At least one value.
        margin: The shift that is tolerated, in the unit of the values.

    Returns:
        The chance of ranks this high or higher if the shift were `margin` or less. Ties count for that
        hypothesis, so the test stays on the safe side.

    Source: H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other", 1947.
    """
    ordered = sorted(baseline)
    above = sum(bisect_left(ordered, value - margin) for value in new)
    return _tail(len(baseline), len(new), len(baseline) * len(new) - above)


def shift_bounds(
    baseline: Sequence[float], new: Sequence[float], confidence: float
) -> tuple[float, float, float]:
    """Estimate how far `new` lies above `baseline`, with a bound on each side.

    Args:
        baseline: At least one value.
        new: At least one value.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Returns:
        The median of all pairwise differences new − baseline, the lower and the upper bound; −inf and inf
        where there are too few values for that confidence.

    Source: J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", 1963.
    """
    # In runs that rise, which the sort below only has to merge: half the time where there are many cells.
    rising, falling = _subsample(sorted(new)), _subsample(sorted(baseline, reverse=True))
    differences = [b - a for a in falling for b in rising]
    differences.sort()
    pairs = len(differences)
    estimate = (differences[(pairs - 1) // 2] + differences[pairs // 2]) / 2
    rank = _bound_rank(len(falling), len(rising), 1 - confidence)
    if rank < 0:
        return estimate, -math.inf, math.inf
    return estimate, differences[rank], differences[pairs - 1 - rank]


def _subsample(values: list[float]) -> list[float]:
    """Return evenly spaced ones of very many values: their differences are taken in pairs."""
    step = -(-len(values) // MAX_VALUES)
    return values[step // 2 :: step] if step > 1 else values


def detectable_shift(spread: float, baseline_n: int, new_n: int, alpha: float, power: float = 0.9) -> float:
    """Estimate the smallest shift beyond the margin that `p_shift_above` finds with a given power.

    For normal noise, by simulation with a fixed seed: a shift is found when it lifts the lower bound at
    `alpha` above the margin, so it has to outweigh all but the worst tenth of the bounds without a shift.

    Args:
        spread: Standard deviation of one value, the same in both runs.
        baseline_n: Number of values of the baseline.
        new_n: Number of values of the new run.
        alpha: Level of the test, in (0, 1).
        power: Chance of finding it.

    Returns:
        The shift, in the unit of `spread`; inf when so few values never reach `alpha`.
    """
    return spread * _detectable_in_spreads(baseline_n, new_n, alpha, power)


def reject_by_holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Tell which hypotheses to reject so that the chance of any false rejection is at most `alpha`.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for done, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - done):
            break
        rejected[index] = True
    return rejected


@lru_cache(maxsize=64)
def _cumulative(m: int, n: int) -> tuple[int, ...]:
    """Count the orders of m and n values by their Mann-Whitney statistic: at most 0, at most 1, ….

    The numbers of orders are the coefficients of the Gaussian binomial: ∏ (1 − q^(n+i)) ÷ (1 − q^i).
    """
    size = m * n + 1
    counts = [1] + [0] * (size - 1)
    for i in range(1, m + 1):
        for u in range(size - 1, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, size):
            counts[u] += counts[u - i]
    return tuple(accumulate(counts))


def _tail(m: int, n: int, u: int) -> float:
    """Return P(U ≤ u) when both samples come from one distribution."""
    if u < 0:
        return 0.0
    if m * n <= MAX_EXACT_PAIRS:
        return _cumulative(m, n)[min(u, m * n)] / math.comb(m + n, m)
    deviation = math.sqrt(m * n * (m + n + 1) / 12)
    return _NORMAL.cdf((u + 0.5 - m * n / 2) / deviation)


@lru_cache(maxsize=1024)
def _bound_rank(m: int, n: int, alpha: float) -> int:
    """Return the largest u with P(U ≤ u) ≤ alpha, −1 if there is none; a bound is the u-th difference."""
    low, high = -1, m * n // 2
    while low < high:
        middle = (low + high + 1) // 2
        if _tail(m, n, middle) <= alpha:
            low = middle
        else:
            high = middle - 1
    return low


@lru_cache(maxsize=256)
def _detectable_in_spreads(m: int, n: int, alpha: float, power: float, draws: int = 300) -> float:
    rank = _bound_rank(m, n, alpha)
    if rank < 0:
        return math.inf
    if m * n > MAX_EXACT_PAIRS:
        # Ranks are 3 ÷ π as efficient as means here: close enough where simulating would take seconds.
        need = _NORMAL.inv_cdf(1 - alpha) + _NORMAL.inv_cdf(power)
        return need * math.sqrt(math.pi / 3 * (1 / m + 1 / n))
    noise = random.Random(0)
    bounds = []
    for _ in range(draws):
        ours = [noise.gauss(0, 1) for _ in range(n)]
        differences = sorted(b - a for a in [noise.gauss(0, 1) for _ in range(m)] for b in ours)
        bounds.append(differences[rank])
    return -sorted(bounds)[int((1 - power) * draws)]

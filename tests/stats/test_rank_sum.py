"""The rank test and its bounds, against counting out, against SciPy, and against their own definitions."""

import math
import random
from itertools import combinations

import pytest
from scipy import stats

from pruning_core.stats import rank_sum


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (4, 4), (5, 3)])
def test_null_distribution_is_counted_right(m: int, n: int) -> None:
    """The chance of each rank statistic is that of all orders of the two samples, counted one by one."""
    orders = list(combinations(range(m + n), m))
    for u in range(m * n + 1):
        # U: pairs in which a value of the second sample stands before one of the first.
        hits = sum(sum(p - i for i, p in enumerate(order)) <= u for order in orders)
        assert rank_sum._tail(m, n, u) == pytest.approx(hits / len(orders))


def test_p_value_is_that_of_scipy() -> None:
    """The test of a shift agrees with SciPy's exact Mann-Whitney test."""
    source = random.Random(3)
    for _ in range(10):
        a = [source.gauss(0, 1) for _ in range(7)]
        b = [source.gauss(0.5, 1) for _ in range(9)]
        expected = stats.mannwhitneyu([x - 0.2 for x in b], a, alternative="greater", method="exact").pvalue
        assert rank_sum.p_shift_above(a, b, 0.2) == pytest.approx(expected)


def test_many_rounds_use_the_normal_limit() -> None:
    """Beyond the exact range, the test agrees with SciPy's asymptotic one."""
    source = random.Random(4)
    a, b = ([source.gauss(c, 1) for _ in range(80)] for c in (0, 0.3))
    expected = stats.mannwhitneyu(b, a, alternative="greater", method="asymptotic").pvalue
    assert rank_sum.p_shift_above(a, b, 0.0) == pytest.approx(expected, rel=1e-3)


def test_ties_count_for_no_change() -> None:
    """Identical values are no evidence of a shift."""
    assert rank_sum.p_shift_above([1.0] * 8, [1.0] * 8, 0.0) == 1.0


def test_bound_and_test_agree() -> None:
    """The lower bound is above a margin exactly when the test rejects at that level."""
    source = random.Random(5)
    for _ in range(200):
        a = [source.gauss(0, 1) for _ in range(8)]
        b = [source.gauss(1, 1) for _ in range(8)]
        margin = source.uniform(-0.5, 1)
        _, low, high = rank_sum.shift_bounds(a, b, 0.95)
        assert (low > margin) == (rank_sum.p_shift_above(a, b, margin) <= 0.05)
        assert low < high


def test_shift_bounds_cover() -> None:
    """Each one-sided 95 % bound of a shift holds in about 95 % of runs, for skewed noise too."""
    source = random.Random(6)
    below = above = 0
    for _ in range(1000):
        a = [source.expovariate(1) for _ in range(10)]
        b = [source.expovariate(1) + 0.7 for _ in range(10)]
        _, low, high = rank_sum.shift_bounds(a, b, 0.95)
        below += low <= 0.7
        above += high >= 0.7
    assert 930 <= below <= 980
    assert 930 <= above <= 980


def test_two_rounds_have_no_bound() -> None:
    """With too few values for the confidence the bounds are infinite, the estimate is not."""
    assert rank_sum.shift_bounds([0.0, 1.0], [5.0, 6.0], 0.99) == (5.0, -math.inf, math.inf)


def test_holm_steps_down() -> None:
    """Holm's procedure rejects more than Bonferroni's, and stops at the first that it cannot reject."""
    assert rank_sum.reject_by_holm([0.02, 0.01, 0.04, 0.5], 0.05) == [False, True, False, False]
    assert rank_sum.reject_by_holm([0.015, 0.01, 0.02, 0.03], 0.05) == [True, True, True, True]
    assert rank_sum.reject_by_holm([], 0.05) == []


def test_detectable_shift_shrinks_with_rounds() -> None:
    """More rounds find smaller shifts, a stricter level larger ones; too few find none."""
    ten = rank_sum.detectable_shift(1.0, 10, 10, 0.01)
    assert rank_sum.detectable_shift(1.0, 40, 40, 0.01) < ten < rank_sum.detectable_shift(1.0, 10, 10, 0.0001)
    assert rank_sum.detectable_shift(2.0, 10, 10, 0.01) == pytest.approx(2 * ten)
    assert rank_sum.detectable_shift(1.0, 4, 4, 0.001) == math.inf
    assert rank_sum.detectable_shift(1.0, 51, 50, 0.01) == pytest.approx(
        rank_sum.detectable_shift(1.0, 50, 50, 0.01), rel=0.1
    )


def test_very_many_rounds_are_thinned_out() -> None:
    """Bounds of a shift between thousands of rounds hold it, and cost no more than those of a thousand."""
    noise = random.Random(0)
    before = [noise.gauss(0, 0.1) for _ in range(4000)]
    now = [noise.gauss(0.05, 0.1) for _ in range(3000)]
    shift, low, high = rank_sum.shift_bounds(before, now, 0.95)
    assert low < 0.05 < high
    assert shift == pytest.approx(0.05, abs=0.01)
    assert high - low < 0.03

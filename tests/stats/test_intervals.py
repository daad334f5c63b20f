"""Intervals for a fraction and for a median: their published values, their coverage, their edges."""

import math
import random

import pytest
from scipy import stats

from pruning_core.stats.intervals import control_problem, median_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (3, 10), (81, 263), (353, 360), (9_990, 10_000)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_is_that_of_scipy(successes: int, n: int, confidence: float) -> None:
    """The interval of a proportion is SciPy's Wilson interval without a continuity correction."""
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, n, confidence)
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_stays_in_the_unit_interval() -> None:
    """At no and at all successes the bounds are exactly 0 and 1, and the other bound is inside."""
    for n in (1, 7, 360, 10_000):
        low, high = wilson_interval(0, n)
        assert low == 0.0
        assert 0 < high < 1
        low, high = wilson_interval(n, n)
        assert high == 1.0
        assert 0 < low < 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    """A count outside [0, n], or of nothing, is refused."""
    with pytest.raises(ValueError, match="need 0 <= successes <= n"):
        wilson_interval(successes, n)


def test_median_interval_of_ten_is_the_textbook_one() -> None:
    """For 10 values at 95 % the interval runs from the 2nd to the 9th value and covers 97.85 %."""
    low, high, coverage = median_interval([5, 3, 9, 1, 7, 10, 2, 8, 4, 6])
    assert (low, high) == (2, 9)
    assert coverage == pytest.approx(1 - 2 * (1 + 10) / 2**10)


@pytest.mark.parametrize("n", range(6, 30))
def test_median_interval_is_the_narrowest_that_covers(n: int) -> None:
    """The coverage reached is at least that asked for, and one step narrower would cover less."""
    low, high, coverage = median_interval(range(1, n + 1), 0.95)
    assert coverage >= 0.95
    assert low + high == n + 1
    k = int(low)
    assert coverage == pytest.approx(1 - 2 * stats.binom.cdf(k - 1, n, 0.5))
    assert k + 1 > n // 2 or 1 - 2 * stats.binom.cdf(k, n, 0.5) < 0.95


def test_few_values_say_how_little_they_cover() -> None:
    """With few values the whole range is returned, with the coverage that it has."""
    assert median_interval([1.0, 2.0, 3.0]) == (1.0, 3.0, 0.75)
    assert median_interval([4.0]) == (4.0, 4.0, 0.0)
    with pytest.raises(ValueError, match="at least one value"):
        median_interval([])


def test_median_interval_covers_whatever_the_distribution() -> None:
    """Over 2,000 samples of skewed values the interval holds the true median as often as it says."""
    source = random.Random(0)
    held, stated = 0, 0.0
    for _ in range(2000):
        low, high, stated = median_interval([source.expovariate(1) for _ in range(12)])
        held += low <= math.log(2) <= high
    assert held / 2000 == pytest.approx(stated, abs=0.015)


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "problem"),
    [
        (0.98, 1.03, 0.05, None),
        (0.9, 1.2, 0.05, None),  # wide, but 1 is within
        (1.05, 1.2, 0.05, None),
        (1.051, 1.2, 0.05, "beyond 1 ± 0.05"),
        (0.8, 0.952, 0.05, "beyond 1 ± 0.05"),
        (0.8, 0.953, 0.05, None),
        (0.7, 1.02, 0.05, "not known within 1 ± 0.25"),
        (0.98, 1.251, 0.05, "not known within 1 ± 0.25"),
        (0.7, 1.4, 0.5, None),  # a tolerance beyond that width is its own width
        (float("nan"), float("nan"), 0.05, "beyond 1 ± 0.05"),
    ],
)
def test_a_control_fails_when_it_is_biased_or_too_wide(low, high, tolerance, problem):
    """Two copies whose times differ significantly make a run untrusted; noise does only beyond all use."""
    assert control_problem(low, high, tolerance) == problem

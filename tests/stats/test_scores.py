"""Scores of which an interval is known: the stated error rates hold, for heavy tails too, few and many."""

import math

import numpy as np
import pytest

from pruning_core.stats.scores import Interval, bounds, growth_bounds, p_above, p_growth_above
from tests.helpers.bootstrapped import bootstrapped

TRIALS = 500


def draw(source: np.random.Generator, n: int, tails: bool, shift: float) -> list[Interval]:
    """Draw errors of a dense model and of two pruned ones on the same examples, the second worse by `shift`.

    Returns:
        The error of each pruned model, then how much worse than dense each is, bounded by bootstrap.
    """
    hard = source.lognormal(0, 1, n) if tails else source.normal(1, 0.3, n)  # what all of them find hard
    dense = source.normal(0, 0.3, n)  # that this training got wrong, and pruning keeps in part
    spread = hard if tails else np.ones(n)
    first, second = (
        hard + 0.5 * dense + 0.2 + more + source.normal(0, 0.3, n) * spread for more in (0.0, shift)
    )
    of_dense = hard + dense
    return [bootstrapped(source, x) for x in (first, second, first - of_dense, second - of_dense)]


@pytest.mark.parametrize("n", [5, 30, 200])
@pytest.mark.parametrize("tails", [False, True], ids=["normal", "lognormal"])
def test_false_alarms_are_as_rare_as_stated(n: int, tails: bool) -> None:
    """Where a score is worse by just the tolerance, 5 % and 1 % tests find it no more often than that."""
    source = np.random.default_rng(n)
    found = [draw(source, n, tails, 0.05) for _ in range(TRIALS)]
    for pair in (slice(0, 2), slice(2, 4)):
        p_values = [p_growth_above(*intervals[pair], n, 0.05) for intervals in found]
        assert sum(p <= 0.05 for p in p_values) <= 0.08 * TRIALS
        assert sum(p <= 0.01 for p in p_values) <= 0.028 * TRIALS


@pytest.mark.parametrize("tails", [False, True], ids=["normal", "lognormal"])
def test_upper_bounds_cover_and_pairs_with_dense_are_narrower(tails: bool) -> None:
    """The bound that lets a cell pass holds 95 of 100 times; through the dense model it is nearer."""
    source = np.random.default_rng(1)
    found = [draw(source, 200, tails, 0.05) for _ in range(TRIALS)]
    reach = []
    for pair in (slice(0, 2), slice(2, 4)):
        highs = [growth_bounds(*intervals[pair], 200, 0.95)[1] for intervals in found]
        assert sum(high >= 0.05 for high in highs) >= 0.92 * TRIALS
        reach.append(np.mean([h - (i[1].value - i[0].value) for h, i in zip(highs, found, strict=True)]))
    assert reach[1] < 0.85 * reach[0]


def test_a_large_growth_is_found() -> None:
    """Of 100 examples a growth of two standard deviations of an example's noise is always found."""
    source = np.random.default_rng(2)
    p_values = [p_growth_above(*draw(source, 100, False, 0.6)[2:], 100, 0.0) for _ in range(50)]
    assert max(p_values) < 1e-3


def test_bounds_are_those_asked_for() -> None:
    """At the confidence of the stored interval, of many examples, its bounds come back, each on its side."""
    interval = Interval(1.0, 0.9, 1.3)
    assert bounds(interval, 10**9, 0.975) == pytest.approx((0.9, 1.3), rel=1e-4)
    low, high = bounds(interval, 10**9, 0.95)
    assert (1 - low, high - 1) == pytest.approx((0.0839, 0.2518), rel=1e-3)
    assert interval.turned == (-1.0, -1.3, -0.9)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_one_or_two_examples_say_nothing(n: int) -> None:
    """A bootstrap of one example has an interval of no width: no bound follows from it, and no alarm."""
    before, now = Interval(1.0, 1.0, 1.0), Interval(9.0, 9.0, 9.0)
    if n < 2:
        assert growth_bounds(before, now, n, 0.95)[1] >= 8
        assert p_growth_above(before, now, n, 0.0) >= 0.5
    wide = Interval(1.0, 0.5, 1.5)
    assert bounds(wide, n, 0.95) == (-math.inf, math.inf)
    assert p_above(wide, n, 0.9) > 0.2


def test_no_spread_is_certain() -> None:
    """Where all of many examples say the same, a value is that, and beyond a limit or not."""
    same = Interval(1.0, 1.0, 1.0)
    assert bounds(same, 100, 0.95) == (1.0, 1.0)
    assert (p_above(same, 100, 0.9), p_above(same, 100, 1.0), p_above(same, 100, 1.1)) == (0.0, 1.0, 1.0)

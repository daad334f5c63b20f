"""Differences of proportions and a floor, against published values and their own definitions."""

import random

import pytest

from pruning_core.stats import proportions


def test_newcombe_interval_is_the_published_one() -> None:
    """Newcombe's own example, 56 of 70 against 48 of 80, gives his interval 0.0524 to 0.3339."""
    low, high = proportions.drop_bounds(56, 70, 48, 80, 0.975)
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_unpaired_p_value_belongs_to_its_interval() -> None:
    """At the p-value's level the lower bound lies on the margin; without a drop there is no evidence."""
    p_value = proportions.p_drop_above(950, 1000, 900, 1000, 0.01)
    assert proportions.drop_bounds(950, 1000, 900, 1000, 1 - p_value)[0] == pytest.approx(0.01, abs=1e-4)
    assert proportions.p_drop_above(900, 1000, 950, 1000, 0.01) == pytest.approx(0.5)


def test_tango_interval_is_the_published_one() -> None:
    """Tango's example, 12 lost and 2 gained of 44, gives a 95 % interval of 0.0604 to 0.3952 or close by."""
    low, high = proportions.paired_drop_bounds(12, 2, 44, 0.975)
    assert low < 10 / 44 < high
    # The bounds are where the score statistic reaches the quantile.
    for bound, quantile in ((low, 1.959964), (high, -1.959964)):
        assert proportions._tango(12, 2, 44, bound) == pytest.approx(quantile, abs=1e-4)


def test_paired_bounds_cover() -> None:
    """Each one-sided 95 % bound of a paired drop holds in about 95 % of samples of 300 images."""
    source = random.Random(8)
    below = above = 0
    for _ in range(600):
        draws = [source.random() for _ in range(300)]
        lost, gained = sum(d < 0.05 for d in draws), sum(d > 0.98 for d in draws)
        low, high = proportions.paired_drop_bounds(lost, gained, 300, 0.95)
        below += low <= 0.03
        above += high >= 0.03
    assert 545 <= below <= 590
    assert 545 <= above <= 590


def test_paired_drop_without_changes_is_bounded() -> None:
    """Where no answer changed, the drop is 0 and its bounds are not wider than a few images."""
    low, high = proportions.paired_drop_bounds(0, 0, 1000, 0.95)
    assert -0.004 < low <= 0 <= high < 0.004
    assert proportions.p_paired_drop_above(0, 0, 1000, 0.01) > 0.99
    assert proportions.p_paired_drop_above(0, 0, 1000, 0.0) == 0.5


def test_floor_test_is_the_score_test() -> None:
    """The test against a floor is certain at the ends and one half at the floor itself."""
    assert proportions.p_accuracy_below(90, 100, 0.9) == pytest.approx(0.5)
    assert proportions.p_accuracy_below(99, 100, 1.0) == 0.0
    assert proportions.p_accuracy_below(100, 100, 1.0) == 1.0
    assert proportions.p_accuracy_below(0, 100, 0.0) == 1.0
    assert proportions.p_accuracy_below(80, 100, 0.9) < 0.001

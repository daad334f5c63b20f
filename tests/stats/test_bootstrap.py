"""The bootstrap of a mean: seeded, as wide as others say, and none of too few examples."""

import numpy as np
import pytest

from pruning_core.stats.bootstrap import MIN_EXAMPLES, bootstrap_interval, paired_bootstrap_interval


def test_the_interval_is_the_same_each_time():
    """Two calls give the same bounds, whatever was drawn elsewhere in between."""
    values = np.random.default_rng(1).normal(size=40)
    first = bootstrap_interval(values)
    np.random.default_rng(2).normal(size=5)
    assert bootstrap_interval(list(values)) == first


def test_too_few_examples_have_no_interval():
    """One example less than the least has none."""
    assert bootstrap_interval([1.0, 2.0] * (MIN_EXAMPLES // 2)) is not None
    assert bootstrap_interval(list(range(MIN_EXAMPLES - 1))) is None


def test_it_is_as_wide_as_the_normal_distribution_says():
    """Of many values the half-width is 1.96 standard errors of the mean."""
    values = np.random.default_rng(3).normal(5.0, 2.0, size=400)
    low, high = bootstrap_interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.02)


def test_it_covers_as_often_as_it_says():
    """Of intervals of normal values about 95 % hold the true mean."""
    source = np.random.default_rng(4)
    found = [bootstrap_interval(source.normal(size=20)) for _ in range(300)]
    assert 0.90 <= sum(low <= 0 <= high for low, high in found) / 300 <= 0.985


def test_pairs_tell_what_two_means_do_not():
    """A shift that each example shows is bounded away from zero, though the values vary far more."""
    values = np.random.default_rng(5).normal(0.0, 10.0, size=50)
    shifted = values - 0.5 + np.random.default_rng(6).normal(0.0, 0.1, size=50)
    low, high = paired_bootstrap_interval(values, shifted)
    assert 0.4 < low < 0.5 < high < 0.6
    single = bootstrap_interval(values)
    assert single[0] < shifted.mean() < single[1]


def test_a_mean_of_very_many_values_takes_no_more_memory_than_allowed(monkeypatch):
    """Draws that do not fit at once are made in parts, and give the same numbers as ever for a seed."""
    monkeypatch.setattr("pruning_core.stats.bootstrap._MAX_NUMBERS", 1000)
    low, high = bootstrap_interval(np.random.default_rng(7).normal(size=900))
    assert low < 0.05
    assert high > -0.05
    assert high - low == pytest.approx(2 * 1.96 / 30, rel=0.15)

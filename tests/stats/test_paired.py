"""Student's interval of a few paired differences."""

import math

import pytest

from pruning_core.stats.paired import mean_difference, student_quantile

TABLE = {
    1: 12.7062,
    2: 4.3027,
    3: 3.1824,
    4: 2.7764,
    5: 2.5706,
    9: 2.2622,
    10: 2.2281,
    30: 2.0423,
    100: 1.9840,
}


@pytest.mark.parametrize(("freedom", "t"), TABLE.items())
def test_quantiles_are_those_of_the_tables(freedom, t):
    """Of 95 %, as printed in any textbook."""
    assert student_quantile(freedom, 0.95) == pytest.approx(t, abs=6e-5)


def test_the_interval_of_three_differences():
    """Mean 2, standard deviation 1: 2 ± 4.3027 / √3."""
    found = mean_difference([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert (found.low, found.high) == pytest.approx(
        (2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), abs=1e-4
    )


def test_one_difference_says_nothing_of_others():
    """Its interval is endless."""
    assert mean_difference([0.5]) == (0.5, -math.inf, math.inf)


def test_equal_differences_have_no_spread():
    """Their interval is a point."""
    found = mean_difference([0.25] * 4)
    assert found.low == found.high == 0.25

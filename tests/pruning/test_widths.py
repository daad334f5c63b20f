"""A width follows from ratio, dense width, multiples and blocks, exactly."""

from fractions import Fraction

import pytest

from pruning_core.pruning.widths import asked_width, rounded_width


@pytest.mark.parametrize("percent", [5, 10, 30, 35, 45, 55, 70, 80, 90, 95])
def test_a_ratio_asks_for_what_it_says(percent):
    """The fraction that stays is that of exact numbers: a tenth of 160 channels is 16, not 15."""
    for width in range(1, 2049):
        exact = width * (1 - Fraction(percent, 100))
        assert asked_width(width, percent / 100) == exact.numerator // exact.denominator


def test_some_stay_and_never_more_at_a_higher_ratio():
    """Whatever the multiples are, at least one stays, and widths do not rise with the ratio."""
    for width, round_to, blocks in ((160, 2, 1), (24, 8, 1), (24, 2, 3), (16, 16, 4), (7, 2, 1)):
        widths = [
            rounded_width(width, asked_width(width, percent / 100), round_to, blocks)
            for percent in range(101)
        ]
        assert widths[0] == width
        assert widths == sorted(widths, reverse=True)
        assert min(widths) > 0

"""Bounds of a candidate's own time: a round is one value, however its two samples hang together."""

import random

import pytest

from pruning_core.measure.paired import PairedTiming, latency_interval


def timing(rounds: list[tuple[float, float]], looks: int = 1) -> PairedTiming:
    """Return a pair whose candidate took so long, twice a round."""
    samples = tuple(sample for pair in rounds for sample in pair)
    return PairedTiming(samples, samples, tuple(0.0 for _ in rounds), 1, 1, looks)


@pytest.mark.parametrize("looks", [1, 3])
def test_the_median_is_within_its_bounds_as_often_as_is_said(looks: int) -> None:
    """Where both samples of a round are slow or fast together, they are no two observations."""
    draw, missed = random.Random(3), 0
    for _ in range(2000):
        rounds = [(value, value) for value in (draw.lognormvariate(0.0, 0.1) for _ in range(20))]
        value, low, high = latency_interval(timing(rounds, looks), 0.95)
        assert low <= value <= high
        missed += not low <= 1.0 <= high
    assert missed / 2000 < 0.05 / looks + 0.01


def test_a_round_is_the_mean_of_its_samples() -> None:
    """The geometric one, as of the ratios."""
    value, low, high = latency_interval(timing([(1.0, 4.0)] * 6), 0.5)
    assert (value, low, high) == (2.0, 2.0, 2.0)


def test_a_latency_is_the_value_that_the_bounds_are_of() -> None:
    """The median of all samples may lie outside: here half of them are slow, one of each round."""
    uneven = timing([(1.0, 4.0), (1.0, 5.0), (1.0, 6.0), (7.0, 1.0), (8.0, 1.0), (9.0, 1.0)])
    value, low, high = latency_interval(uneven, 0.9)
    assert uneven.latency_s == uneven.reference_latency_s == value
    assert low <= value <= high

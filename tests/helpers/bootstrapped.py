"""Intervals by bootstrap, for tests."""

import numpy as np
from numpy.typing import NDArray

from pruning_core.stats.scores import Interval

RESAMPLES = 400


def bootstrapped(source: np.random.Generator, values: NDArray[np.float64]) -> Interval:
    """Return the mean of values with its 95 % percentile interval."""
    means = values[source.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    mean = float(values.mean())
    low, high = (float(bound) for bound in np.percentile(means, [2.5, 97.5]))
    return Interval(mean, min(low, mean), max(high, mean))

"""The interval of a mean over examples, and of a mean difference over pairs: by a bootstrap, from one seed.

No distribution is assumed of the values. Examples are drawn with replacement, and the interval is that of the
means of such draws. How often it holds the truth: `tasks/README.md`.
"""

from collections.abc import Sequence

import numpy as np

MIN_EXAMPLES = 10
"""Of fewer, no interval is told: draws of so few say too little of what others would be."""

_DRAWS = 2000
_SEED = 0
_MAX_NUMBERS = 4_000_000


def bootstrap_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return lower and upper bound of the mean of values; None of fewer than `MIN_EXAMPLES`.

    Args:
        values: One for each example, finite.
        confidence: Coverage.
    """
    numbers = np.asarray(values, dtype=np.float64)
    n = len(numbers)
    if n < MIN_EXAMPLES:
        return None
    generator = np.random.default_rng(_SEED)
    at_once = max(1, min(_DRAWS, _MAX_NUMBERS // n))
    means: list[float] = []
    while len(means) < _DRAWS:
        draws = generator.integers(0, n, (min(at_once, _DRAWS - len(means)), n))
        means += numbers[draws].mean(axis=1).tolist()
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    # A t interval is wider than the draws say by this, of few examples.
    widen = (n / (n - 1)) ** 0.5
    mean = float(numbers.mean())
    return mean + widen * (float(low) - mean), mean + widen * (float(high) - mean)


def paired_bootstrap_interval(
    values: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return bounds of the mean of values − others, example by example (see `bootstrap_interval`).

    Raises:
        ValueError: If there are not as many of both.
    """
    differences = [value - other for value, other in zip(values, others, strict=True)]
    return bootstrap_interval(differences, confidence)

"""Which bounds of a speed-up its rounds can give: they are recomputed, never believed."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

MAX_LOOKS_BEFORE = 10
"""Records of schema 1 do not say how many looks were planned; at most so many, since rounds double."""


def speedup_bounds(
    log_ratios: Sequence[float], confidence: float, looks: int | None
) -> Iterator[tuple[float, float]]:
    """Walk over the bounds of a speed-up that these rounds give with that confidence.

    Args:
        log_ratios: One ln(this ÷ reference) a round, at least one.
        confidence: Coverage that was reached, over all looks together, as a record says it.
        looks: Planned looks; None where a record does not say.

    Returns:
        Pairs of lower and upper bound; none if no interval of so many rounds has that confidence. More than
        one where there are so many rounds that confidences differ by less than 1e-4.
    """
    ordered = sorted(log_ratios)
    n = len(ordered)
    for k in _ranks(n, round(confidence, 6), looks):
        # A large ratio of times is a small speed-up.
        yield math.exp(-ordered[n - k]), math.exp(-ordered[k - 1])


@lru_cache(maxsize=4096)
def _ranks(n: int, confidence: float, looks: int | None) -> tuple[int, ...]:
    """Return each k so that the interval from the k-th smallest to the k-th largest has that confidence."""
    planned = range(1, MAX_LOOKS_BEFORE + 1) if looks is None else (looks,) if looks else ()
    ranks = []
    below, term = 0.0, 0.5**n  # term = P(Binomial(n, 1/2) = k − 1)
    for k in range(1, max(n // 2, 1) + 1):
        below += term
        term *= (n - k + 1) / k
        coverage = max(0.0, 1 - 2 * below)
        # Of half and less, nobody may ask: then the rounds were too few, and all of them count.
        if (k == 1 or confidence > 0.5) and any(
            abs(max(0.0, 1 - (1 - coverage) * count) - confidence) <= 1e-4 for count in planned
        ):
            ranks.append(k)
    return tuple(ranks)

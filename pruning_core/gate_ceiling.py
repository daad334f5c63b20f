"""A slow-down that hits every model alike: the dense eager model against what the machine can do.

It does not show in speed-ups, whose reference is as slow. So the dense eager cell, the run's A/A control, is
itself judged: by the fraction of the machine's own ceiling that it reaches, measured in the same run, so
that a machine that is slower today does not look like a slower program.

Not for: a program that slows the ceiling down too (a slower matrix product, say), or runs of unlike machines.
"""

import math
from statistics import NormalDist

from pruning_core.records import Record

NEEDED = ("roofline_fraction", "latency_low_ms", "latency_high_ms")

CEILING_SPREAD = 0.02
"""Standard deviation of ln(ceiling) between runs: 0.016 over eight processes on 2 cores of an Intel Xeon,
each with the better of two looks 12 s apart."""

_NORMAL = NormalDist()


def judge_against_ceiling(
    baseline: Record, new: Record, tolerance: float, confidence: float
) -> tuple[float, float, float, float]:
    """Estimate how much slower the dense model has become, relative to the machine's ceiling.

    For normal noise of ln(latency) and ln(ceiling): a tolerance as wide as this one does not hang on tails.

    Args:
        baseline: The control's record before, with all fields of `NEEDED`.
        new: The control's record now, likewise.
        tolerance: The slow-down that is tolerated, a fraction.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Returns:
        The slow-down, its lower and upper bound, fractions; and the p-value of one this large or larger if it
        were `tolerance`.
    """
    shift = math.log(baseline["roofline_fraction"] / new["roofline_fraction"])
    spread = math.hypot(_spread(baseline), _spread(new), CEILING_SPREAD, CEILING_SPREAD)
    reach = _NORMAL.inv_cdf(confidence) * spread
    p_value = 1 - _NORMAL.cdf((shift - math.log1p(tolerance)) / spread)
    return math.expm1(shift), math.expm1(shift - reach), math.expm1(shift + reach), p_value


def _spread(record: Record) -> float:
    """Return the standard deviation of the median's logarithm; its bounds are those of 95 %."""
    return math.log(record["latency_high_ms"] / record["latency_low_ms"]) / (2 * _NORMAL.inv_cdf(0.975))

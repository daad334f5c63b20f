"""A slow-down that hits every model alike: the dense eager model against what the machine can do.

It does not show in speed-ups, whose reference is as slow. So the dense eager cell, the run's A/A control, is
itself judged: by the fraction of the machine's own ceiling that it reaches, measured in the same run, so
that a machine that is slower today does not look like a slower program. The ceiling is the best of what was
seen in a run, so it is compared with the model's fastest calls: a median has the neighbours in it.

Not for: a program that slows the ceiling down too (a slower matrix product, say), or runs of unlike machines.
"""

import math
from statistics import NormalDist

from pruning_core.gate.finding import P05_FIELD
from pruning_core.records.fields import Record

NEEDED = ("roofline_fraction", "latency_ms", P05_FIELD)

RUN_TO_RUN_SD = 0.03
"""Standard deviation between runs of ln(time of the fastest calls × ceiling). Over eleven processes on 2
shared cores of an Intel Xeon: 0.025 at batch 1, 0.048 at batch 32, where bounds are thus too narrow: the
tolerance is wide for that. With the median time instead it was 0.116 and 0.086."""

_NORMAL = NormalDist()


def compare_to_roofline(
    baseline: Record, new: Record, tolerance: float, confidence: float
) -> tuple[float, float, float, float]:
    """Estimate how much slower the dense model has become, relative to the machine's ceiling.

    For normal noise: a tolerance as wide as this one does not hang on tails.

    Args:
        baseline: The control's record before, with all fields of `NEEDED`.
        new: The control's record now, likewise.
        tolerance: The slow-down that is tolerated, a fraction.
        confidence: Coverage of each bound by itself, in (0.5, 1).

    Returns:
        The slow-down, its lower and upper bound, fractions; and the p-value of one this large or larger if it
        were `tolerance`.
    """
    shift = math.log(fraction_of_ceiling(baseline) / fraction_of_ceiling(new))
    spread = math.sqrt(2) * RUN_TO_RUN_SD
    reach = _NORMAL.inv_cdf(confidence) * spread
    p_value = 1 - _NORMAL.cdf((shift - math.log1p(tolerance)) / spread)
    return math.expm1(shift), math.expm1(shift - reach), math.expm1(shift + reach), p_value


def fraction_of_ceiling(record: Record) -> float:
    """Return the fraction of the machine's ceiling that the fastest calls reached."""
    return float(record["roofline_fraction"] * record["latency_ms"] / record[P05_FIELD])

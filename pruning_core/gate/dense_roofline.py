"""A slow-down that hits every model alike: the dense eager model against the roofline of the machine.

It does not show in speed-ups, whose reference is as slow. So the dense eager cell, the run's A/A control, is
itself judged: by the fraction of the roofline that it reaches, measured in the same run, so that a machine
that is slower today does not look like a slower program. The roofline is the best seen in a run, so it is
compared with the 5th percentile of the model's calls: a median has the neighbours in it. Evidence:
`gate/README.md`.

It does not see a program that slows the roofline down too (a slower matrix product, say).
"""

import math
from statistics import NormalDist

from pruning_core.gate.finding import P05_FIELD, Bounds
from pruning_core.gate.policy import Policy
from pruning_core.records.fields import Record

NEEDED = ("roofline_fraction", "latency_ms", P05_FIELD)

_NORMAL = NormalDist()


def compare_to_roofline(
    baseline: Record, new: Record, tolerance: float, policy: Policy
) -> tuple[Bounds, float]:
    """Estimate how much slower the dense model has become, relative to the machine's roofline.

    For normal noise: a tolerance as wide as this one does not hang on tails.

    Args:
        baseline: The control's record before, with all fields of `NEEDED`.
        new: The control's record now, likewise.
        tolerance: The slow-down that is tolerated, a fraction.
        policy: Its `run_to_run_sd` is the noise, its `confidence` the coverage of each bound by itself.

    Returns:
        The slow-down, fractions; and the p-value of one this large or larger if it were `tolerance`.
    """
    shift = math.log(roofline_fraction(baseline) / roofline_fraction(new))
    spread = math.sqrt(2) * policy.run_to_run_sd
    reach = _NORMAL.inv_cdf(policy.confidence) * spread
    p_value = 1 - _NORMAL.cdf((shift - math.log1p(tolerance)) / spread)
    return Bounds(math.expm1(shift), math.expm1(shift - reach), math.expm1(shift + reach)), p_value


def roofline_fraction(record: Record) -> float:
    """Return the fraction of the machine's roofline that the 5th percentile of calls reached."""
    return float(record["roofline_fraction"] * record["latency_ms"] / record[P05_FIELD])

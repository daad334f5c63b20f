"""Whether a target is met: what records say of it. Imports nothing heavy: reports say the same.

A time is a measurement, and a width a whole number; so a target of time is met within a tolerance, and a
count is met or not.
"""

MET, MISSED, INCONCLUSIVE = "met", "missed", "inconclusive"
"""Values of the field `target_met`."""

TOLERANCE = 0.05
"""A time that is this fraction short of its target still meets it."""


def judge_target(low: float, high: float, tolerance: float = TOLERANCE) -> str:
    """Return whether a target is met.

    Args:
        low: Lower bound of how many times over the target is reached; 1: just so.
        high: Upper bound of it.
        tolerance: Fraction that may be missing; 0 for counts, which are exact.
    """
    enough = 1 - tolerance
    return MET if low >= enough else MISSED if high < enough else INCONCLUSIVE

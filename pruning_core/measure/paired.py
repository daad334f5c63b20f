"""A pair as it was measured: its samples, and the speed-up with its bounds, computed from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pruning_core.stats.intervals import median_interval


@dataclass(frozen=True)
class PairedTiming:
    """Raw samples of a pair; everything else is recomputed from them."""

    reference_s: tuple[float, ...]  # seconds per call, two a round, in the order they were taken
    candidate_s: tuple[float, ...]
    log_ratios: tuple[float, ...]  # one a round: ln(candidate ÷ reference)
    calls_per_sample: int  # of the candidate
    reference_calls_per_sample: int
    looks: int = 1  # planned: how often the interval might have been looked at
    call_times_s: Sequence[float] = ()  # seconds of each single timed call of the candidate
    fork_join_s: Sequence[float] = ()  # one a round, the slower of before and after it; 0 where not read
    rounds_rejected: int = 0  # that do not count: the machine was in an unusual state

    @property
    def rounds(self) -> int:
        """Number of A B B A rounds."""
        return len(self.log_ratios)

    @property
    def speedup(self) -> float:
        """Reference time ÷ candidate time: above 1 when the candidate is faster."""
        return math.exp(-median(self.log_ratios))

    @property
    def latency_s(self) -> float:
        """Seconds of a call of the candidate: the median of the rounds, as `latency_interval` has it."""
        return median(round_times(self.candidate_s))

    @property
    def reference_latency_s(self) -> float:
        """Seconds of a call of the reference, likewise."""
        return median(round_times(self.reference_s))


def speedup_interval(timing: PairedTiming, confidence: float) -> tuple[float, float, float]:
    """Bound the speed-up by order statistics of the rounds' log ratios.

    Args:
        timing: What `measure_interleaved` returned of a pair.
        confidence: Coverage asked for, in (0, 1), over all looks together.

    Returns:
        Lower bound, upper bound, and the coverage reached (see `stats/intervals.py`). With several planned
        looks each interval is so wide that all of them together miss no more often than asked.
    """
    low, high, coverage = median_interval(timing.log_ratios, 1 - (1 - confidence) / timing.looks)
    # A large ratio of times is a small speed-up.
    return math.exp(-high), math.exp(-low), max(0.0, 1 - (1 - coverage) * timing.looks)


def latency_interval(timing: PairedTiming, confidence: float) -> tuple[float, float, float]:
    """Bound the seconds of a call of the candidate: a value a round, since its two samples are alike.

    Args:
        timing: As of `speedup_interval`.
        confidence: Likewise.

    Returns:
        The median, and its lower and upper bound.
    """
    rounds = round_times(timing.candidate_s)
    low, high, _ = median_interval(rounds, 1 - (1 - confidence) / timing.looks)
    return median(rounds), low, high


def round_times(samples_s: Sequence[float]) -> list[float]:
    """Return the seconds of a call in each round: the geometric mean of its two samples."""
    return [math.sqrt(first * second) for first, second in zip(samples_s[::2], samples_s[1::2], strict=True)]


def log_ratios_of(reference_s: Sequence[float], candidate_s: Sequence[float]) -> tuple[float, ...]:
    """Return ln(candidate ÷ reference) of each round that the candidate ran in."""
    logs = [(math.log(a), math.log(b)) for a, b in zip(reference_s, candidate_s, strict=True)]
    return tuple(
        0.5 * ((b1 + b2) - (a1 + a2)) for (a1, b1), (a2, b2) in zip(logs[::2], logs[1::2], strict=True)
    )

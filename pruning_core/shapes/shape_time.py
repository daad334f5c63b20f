"""The times of untrained networks in one setting, with their intervals, and what disturbed them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.setting import Setting
from pruning_core.measure.paired import PairedTiming, latency_interval, speedup_interval
from pruning_core.stats.intervals import control_problem

_TOLERANCE = LatencyOptions().control_tolerance


@dataclass(frozen=True)
class ShapeTime:
    """One network in one setting, against the reference in the same setting."""

    latency_ms: float  # of one call
    reference_ms: float
    speedup: float
    speedup_low: float  # 95 %, over all looks together
    speedup_high: float
    rounds: int
    latency_bounds_ms: tuple[float, float]
    reference_bounds_ms: tuple[float, float]


@dataclass(frozen=True)
class SettingTimes:
    """All networks in one setting."""

    setting: Setting
    networks: tuple[ShapeTime | None, ...]  # in their order; None where the backend cannot run one
    control: ShapeTime | None  # the reference against a copy of itself
    errors: tuple[str, ...]  # for each network, why it was not timed; empty where it was
    contention: str  # what else ran on the machine meanwhile; empty: nothing

    @property
    def problem(self) -> str:
        """What else ran meanwhile, or that the control is off; empty where nothing disturbed the times."""
        if self.contention or self.control is None:
            return self.contention
        off = control_problem(self.control.speedup_low, self.control.speedup_high, _TOLERANCE)
        return f"the A/A control is {off}" if off else ""


def shape_time(timing: PairedTiming, confidence: float) -> ShapeTime:
    """Return what the rounds of a network say.

    Args:
        timing: Against the reference.
        confidence: Coverage of the intervals, over all looks together.
    """
    low, high, _ = speedup_interval(timing, confidence)
    latency_s, *bounds = latency_interval(timing, confidence)
    reference_s, *of_reference = latency_interval(replace(timing, candidate_s=timing.reference_s), confidence)
    return ShapeTime(
        latency_s * 1e3,
        reference_s * 1e3,
        timing.speedup,
        low,
        high,
        timing.rounds,
        _milliseconds(bounds),
        _milliseconds(of_reference),
    )


def _milliseconds(bounds_s: Sequence[float]) -> tuple[float, float]:
    low, high = (1e3 * bound for bound in bounds_s)
    return low, high

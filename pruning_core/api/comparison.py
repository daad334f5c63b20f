"""What a comparison found: a speed-up with its interval, what the A/A control shows, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Literal

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.measure.paired import PairedTiming, speedup_interval
from pruning_core.stats.intervals import control_problem

if TYPE_CHECKING:
    from pruning_core.system.contention import Contention

Verdict = Literal["faster", "slower", "no difference shown"]

CONFIDENCE = 0.95
"""Coverage of every interval here, over all looks together."""


@dataclass(frozen=True)
class Speedup:
    """A speed-up and its interval: reference time ÷ candidate time, above 1 where the candidate is faster."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, timing: PairedTiming) -> Speedup:
        """Return the speed-up of a pair, with its 95 % interval."""
        low, high, _ = speedup_interval(timing, CONFIDENCE)
        return cls(timing.speedup, low, high)

    @property
    def reach(self) -> float:
        """How far the interval reaches from 1, as a factor: at least 1."""
        return max(self.high, 1 / self.low)

    def __str__(self) -> str:
        """`1.98× [1.93, 2.03]`."""
        return f"{self.value:.3g}× [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """A candidate measured against its reference; `print` shows it in one line (see `compare`).

    Attributes:
        timing: Raw samples of the pair; `timing.reference_s` are seconds per call.
        control_timing: The same of the reference against a copy of itself: the A/A control.
        contention: What other processes and clocks did meanwhile.
        contended: Why that harms the times; empty where it does not.
        device: Where it ran.
        threads: CPU threads of PyTorch.
        tolerance: A difference within it counts as none, a fraction.
    """

    timing: PairedTiming = field(repr=False)
    control_timing: PairedTiming = field(repr=False)
    contention: Contention
    contended: str
    device: str
    threads: int
    tolerance: float

    @property
    def speedup(self) -> Speedup:
        """Reference time ÷ candidate time, in pairs: `.value`, and its 95 % interval `.low` to `.high`."""
        return Speedup.of(self.timing)

    @property
    def control(self) -> Speedup:
        """The same of the reference against a copy of itself, in the same rounds: near 1, or all is off."""
        return Speedup.of(self.control_timing)

    @property
    def rounds(self) -> int:
        """Rounds that count."""
        return self.timing.rounds

    @property
    def reference_s(self) -> float:
        """Seconds of one call of the reference, the median."""
        return self.timing.reference_latency_s

    @property
    def candidate_s(self) -> float:
        """Seconds of one call of the candidate, the median."""
        return self.timing.latency_s

    @property
    def problem(self) -> str:
        """What disturbed the times, in words; empty where nothing did."""
        control = control_problem(self.control.low, self.control.high, self.tolerance)
        return " and ".join(filter(None, (control and f"the A/A control is {control}", self.contended)))

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds that verdicts go by: the interval, wider by the control's reach where times are disturbed.

        Two copies of one network then seem as far apart as that, and any pair may.
        """
        wider = self.control.reach if self.problem else 1.0
        return self.speedup.low / wider, self.speedup.high * wider

    @property
    def verdict(self) -> Verdict:
        """`faster` or `slower` where both bounds are beyond the tolerance, else `no difference shown`."""
        low, high = self.bounds
        if low > 1 + self.tolerance:
            return "faster"
        return "slower" if high < 1 / (1 + self.tolerance) else "no difference shown"

    def is_at_least(self, speedup: float) -> bool | None:
        """Tell whether the candidate is so many times as fast as the reference; None: that is not decided.

        Args:
            speedup: 1.5: half as fast again; below 1 it may be that much slower.

        Raises:
            OptionError: If it is no number above 0.
        """
        if isinstance(speedup, bool) or not isinstance(speedup, Real) or not speedup > 0:
            raise OptionError(f"a speed-up is a number above 0; got {shown(speedup)}")
        low, high = self.bounds
        if low >= speedup:
            return True
        return False if high < speedup else None

    def __str__(self) -> str:
        """One line."""
        times = f"{1e3 * self.reference_s:.3g} → {1e3 * self.candidate_s:.3g} ms"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        state = f"disturbed: {self.problem}" if self.problem else "quiet"
        return (
            f"{self.verdict}: {self.speedup}, {times}; {self.rounds} rounds, A/A {self.control}, {state}; "
            f"{self.device}, {threads}"
        )

    __repr__ = __str__

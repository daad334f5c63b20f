"""A machine on a clock of its own, and how the tests of the paired protocol measure on it."""

import math
import random

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.measure.interleaved import measure_interleaved
from pruning_core.measure.paired import PairedTiming

GROWING = LatencyOptions(min_rounds=10, max_rounds=40, target_error=0.02, warmup_ms=0, sample_ms=1)
ONE_CALL_A_SAMPLE = LatencyOptions(min_rounds=7, max_rounds=7, warmup_ms=0.0, sample_ms=1.0)


class Machine:
    """A machine whose time passes only by calls, each `cost_s`, drifting by `drift` a call, with noise.

    With `tick_s`, reading the clock takes that long.
    """

    def __init__(self, drift: float = 0.0, noise: float = 0.0, seed: int = 0, tick_s: float = 0.0) -> None:
        self.now = 0.0
        self._tick_s = tick_s
        self.log: list[str] = []
        self._drift = drift
        self._noise = noise
        self._random = random.Random(seed)

    def clock(self) -> float:
        """Tell the time."""
        self.now += self._tick_s
        return self.now

    def model(self, name: str, cost_s: float):
        """Return a callable that takes `cost_s`."""

        def call() -> None:
            slow_down = math.exp(self._drift * len(self.log) + self._random.gauss(0.0, self._noise))
            self.now += cost_s * slow_down
            self.log.append(name)

        return call


IDLE = {"wait_until_idle": lambda: None}
"""No thread spins, and nothing really waits."""


def measure_together(reference, candidates, options: LatencyOptions, **others) -> list[PairedTiming]:
    """Measure one group."""
    return measure_interleaved(
        [ReferenceGroup(reference, candidates, options.budget_s)], options, **IDLE, **others
    )[0]


def measure_pair(reference, candidate, options: LatencyOptions, **others) -> PairedTiming:
    """Measure one pair."""
    return measure_together(reference, [candidate], options, **others)[0]


def measure(machine: Machine, a_cost_s: float, b_cost_s: float, options: LatencyOptions) -> PairedTiming:
    """Measure a pair of known costs."""
    return measure_pair(
        machine.model("A", a_cost_s), machine.model("B", b_cost_s), options, clock=machine.clock
    )

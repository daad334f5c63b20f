"""Timing with a watch on the machine: the samples, what else happened, and what the machine can do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pruning_core.config.grid import LatencyOptions
from pruning_core.measure.interleaved import ReferenceGroup, measure_interleaved
from pruning_core.measure.paired import PairedTiming
from pruning_core.progress import ProgressDisplay
from pruning_core.suites.model_cache import ModelCache
from pruning_core.system.contention import Contention, ContentionMonitor
from pruning_core.system.fork_join import MachineState
from pruning_core.system.hardware import set_torch_threads
from pruning_core.system.roofline import Roofline, max_of, measure_roofline
from pruning_core.system.thread_idle import wait_until_idle

ROOFLINE_INTERVAL_S = 15.0
"""A shared machine may be slow for minutes: two looks of 2 s, before and after a tour, saw matrix ceilings of
271 to 351 GFLOP/s over ten runs on an Intel Xeon, while the fastest calls of the networks, all along the
tours, were within a few percent of one another. So ceilings are looked at all along too."""


@dataclass
class Timer:
    """Times calls in pairs, shows how far it is, and counts the time as spent inside what is measured."""

    models: ModelCache
    options: LatencyOptions
    display: ProgressDisplay
    _ceilings: dict[tuple[str, str, int], Roofline | None] = field(default_factory=dict)

    def time_interleaved(
        self,
        what: str,
        device: str,
        threads: int,
        groups: Sequence[ReferenceGroup],
        precisions: Sequence[str] = (),
    ) -> tuple[list[list[PairedTiming]], Contention]:
        """Time groups of calls, each against its reference (see `measure_interleaved`).

        Args:
            what: Is shown while it runs.
            device: Whose clock is watched.
            threads: CPU threads of PyTorch.
            groups: References and their candidates.
            precisions: Their ceilings are looked at before, after, and now and then between rounds.
        """
        looked_at_s = 0.0

        def look() -> None:
            nonlocal looked_at_s
            for precision in precisions:
                where = (device, precision, threads)
                if where not in self._ceilings or self._ceilings[where]:  # else there is none to be found
                    self._look_at_ceiling(*where)
            looked_at_s = time.perf_counter()

        def wait_and_count() -> None:
            begun = time.perf_counter()
            wait_until_idle()
            seconds = time.perf_counter() - begun
            self.models.waited_s += seconds
            self.models.measured_s -= seconds  # in which it lies

        set_torch_threads(threads)
        with (
            self.display.work(f"time {what}", quiet=True) as advance,
            ContentionMonitor(device) as watch,
            self.models.measuring(),
        ):

            def after_round(played: int, planned: int) -> None:
                watch.sample()
                advance(played, planned)
                if time.perf_counter() - looked_at_s > ROOFLINE_INTERVAL_S:
                    look()

            look()
            timings = measure_interleaved(
                groups,
                self.options,
                wait_until_idle=wait_and_count,
                state=MachineState.of(device, threads, wait_and_count),
                after_round=after_round,
            )
            look()
        return timings, watch.contention

    def ceiling(self, device: str, precision: str, threads: int) -> Roofline | None:
        """Return what this machine can do on a device, in a precision, on so many threads."""
        where = (device, precision, threads)
        if where not in self._ceilings:
            with self.models.measuring():
                self._look_at_ceiling(*where)
        return self._ceilings[where]

    def _look_at_ceiling(self, *where: *tuple[str, str, int]) -> None:
        """Measure what this machine can do, and keep the best of all looks of this run."""
        wait_until_idle()
        seen, before = measure_roofline(*where), self._ceilings.get(where)
        self._ceilings[where] = max_of(before, seen) if before and seen else before or seen

"""Timing with a watch on the machine: the samples, what else happened meanwhile, and what the machine can do.

Not for: how samples are taken (`measure/latency.py`), or what is timed (`harness.py`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from pruning_core.grid import LatencyOptions
from pruning_core.measure.ceilings import Ceiling, best_of, measure_ceiling
from pruning_core.measure.latency import Group, PairedTiming, measure_in_turns
from pruning_core.measure.sampling import rest
from pruning_core.measure.watch import Disturbance, MachineWatch
from pruning_core.progress import ProgressDisplay
from pruning_core.resident import Models


@dataclass
class Timer:
    """Times calls in pairs, shows how far it is, and counts the time as spent inside what is measured."""

    models: Models
    options: LatencyOptions
    display: ProgressDisplay
    _ceilings: dict[tuple[str, str, int], Ceiling | None] = field(default_factory=dict)

    def time_in_turns(
        self, what: str, device: str, threads: int, groups: Sequence[Group]
    ) -> tuple[list[list[PairedTiming]], Disturbance]:
        """Time groups of calls, each against its reference (see `measure_in_turns`).

        Args:
            what: Is shown while it runs.
            device: Whose clock is watched.
            threads: CPU threads of PyTorch.
            groups: References and their candidates.
        """

        def wait(seconds: float) -> None:
            time.sleep(seconds)
            self.models.waited_s += seconds
            self.models.measured_s -= seconds  # in which it lies

        torch.set_num_threads(threads)
        with (
            self.display.work(f"time {what}", quiet=True) as advance,
            MachineWatch(device) as watch,
            self.models.measuring(),
        ):

            def after_round(played: int, planned: int) -> None:
                watch.sample()
                advance(played, planned)

            timings = measure_in_turns(groups, self.options, wait=wait, after_round=after_round)
        return timings, watch.disturbance

    def ceiling(self, device: str, precision: str, threads: int) -> Ceiling | None:
        """Return what this machine can do on a device, in a precision, on so many threads."""
        where = (device, precision, threads)
        if where not in self._ceilings:
            self.look_at_ceiling(*where)
        return self._ceilings[where]

    def look_at_ceiling(self, device: str, precision: str, threads: int) -> None:
        """Measure what this machine can do, and keep the best of all looks of this run.

        A shared machine may be slow for longer than a look: of ten short ones on an Intel Xeon nine saw 278
        to 326 GFLOP/s, one 162.
        """
        where = (device, precision, threads)
        rest()
        with self.models.measuring():
            seen, before = measure_ceiling(*where), self._ceilings.get(where)
        self._ceilings[where] = best_of(before, seen) if before and seen else before or seen

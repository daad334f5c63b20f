"""Timing with a watch on the machine: the samples, what else happened meanwhile, and what the machine can do.

Not for: how samples are taken (`measure/latency.py`), or what is timed (`harness.py`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from pruning_core.grid import LatencyOptions
from pruning_core.measure.ceilings import Ceiling, measure_ceiling
from pruning_core.measure.latency import PairedTiming, measure_together
from pruning_core.measure.watch import Disturbance, MachineWatch
from pruning_core.progress import ProgressDisplay
from pruning_core.resident import Models

CONTROL_PATIENCE = 4
"""A control may take so many times as long as a cell."""


@dataclass
class Timer:
    """Times calls in pairs, shows how far it is, and counts the time as spent inside what is measured."""

    models: Models
    options: LatencyOptions
    display: ProgressDisplay
    _ceilings: dict[tuple[str, str, int], Ceiling | None] = field(default_factory=dict)

    def time_together(
        self,
        what: str,
        device: str,
        threads: int,
        reference: Callable[[], object],
        calls: Sequence[Callable[[], object]],
        *,
        control: bool = False,
    ) -> tuple[list[PairedTiming], Disturbance]:
        """Time calls against one reference (see `measure_together`).

        Args:
            what: Is shown while it runs.
            device: Whose clock is watched.
            threads: CPU threads of PyTorch.
            reference: Runs the reference once.
            calls: Each runs a candidate once.
            control: Whether all verdicts of the run hang on this one, so that it may take longer.
        """
        options, looks = self.options, self.options.looks
        if control:
            options = options.model_copy(update={"limit_s": CONTROL_PATIENCE * options.limit_s})
        waited_s = 0.0

        def wait(seconds: float) -> None:
            nonlocal waited_s
            time.sleep(seconds)
            waited_s += seconds

        torch.set_num_threads(threads)
        with self.display.work(f"time {what}", quiet=True) as advance:
            with MachineWatch(device) as watch, self.models.measuring():

                def after_round(done: int, _: int) -> None:
                    watch.sample()
                    advance(done, next((look for look in looks if look > done), done))

                timings = measure_together(reference, calls, options, wait=wait, after_round=after_round)
            self.models.measured_s -= waited_s
        return timings, watch.disturbance

    def ceiling(self, device: str, precision: str, threads: int) -> Ceiling | None:
        """Measure what this machine can do, once in a run for a device, precision and number of threads."""
        where = (device, precision, threads)
        if where not in self._ceilings:
            with self.models.measuring():
                self._ceilings[where] = measure_ceiling(*where)
        return self._ceilings[where]

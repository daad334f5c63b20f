"""Where the time of a run goes: one account that all who spend time are handed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pruning_core.system.clock import Clock


@dataclass
class TimeBudget:
    """Seconds of a run by what they were spent on; the rest is pytest's and Python's.

    A wait within a block that counts as something else counts as a wait only.
    """

    timed_s: float = 0.0  # models that run to be timed or evaluated, pruning
    idle_wait_s: float = 0.0  # until threads of one model are idle, before another one runs
    backend_setup_s: float = 0.0  # exporting, compiling, quantizing, loading weights
    checkpoints_s: float = 0.0  # making checkpoints, or reading them from the store
    clock: Clock = field(default=time.perf_counter, repr=False)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count a block as spent inside what is measured, without the waits in it."""
        start_s, waited_s = self.clock(), self.idle_wait_s
        yield
        self.timed_s += self.clock() - start_s - (self.idle_wait_s - waited_s)

    @contextmanager
    def idle_wait(self) -> Iterator[None]:
        """Count a block as a wait for threads."""
        start_s = self.clock()
        yield
        self.idle_wait_s += self.clock() - start_s

    @contextmanager
    def backend_setup(self) -> Iterator[None]:
        """Count a block as making a model ready for a backend."""
        start_s = self.clock()
        yield
        self.backend_setup_s += self.clock() - start_s

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """Count a block as making or reading checkpoints."""
        start_s = self.clock()
        yield
        self.checkpoints_s += self.clock() - start_s

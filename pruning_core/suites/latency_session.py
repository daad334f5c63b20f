"""Latency cells timed together: all of one device and number of threads, interleaved in one session.

The first cell that is asked for is timed with all others that will be asked for, each grouped with those of
the same reference. So the rounds of each are spread over all of that time, and all of them see the same
machine. Meanwhile the session watches for contention and measures the machine's roofline.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pruning_core.backends import BACKENDS
from pruning_core.config.cells import Cell
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.errors import BackendError
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.measure.interleaved import measure_interleaved
from pruning_core.measure.paired import PairedTiming
from pruning_core.progress import ProgressDisplay
from pruning_core.suites.model_cache import ModelCache
from pruning_core.suites.time_budget import TimeBudget
from pruning_core.system.contention import Contention, ContentionMonitor
from pruning_core.system.fork_join import MachineState
from pruning_core.system.hardware import set_torch_threads
from pruning_core.system.roofline import Roofline, max_of, measure_roofline
from pruning_core.system.thread_idle import wait_until_idle

CONTROL_BUDGET_FACTOR = 4
"""An A/A control may take this many times as long as a cell: all verdicts of a run depend on it."""

SESSION_BYTES = 2_000_000_000
"""Cells go into one session up to this size of weights, since all of them stay in memory meanwhile."""

ROOFLINE_INTERVAL_S = 15.0
"""A shared machine may be slow for minutes, so that its roofline is measured again and again in a session."""


@dataclass(frozen=True)
class CellTiming:
    """What was measured of a latency cell."""

    timing: PairedTiming
    contention: Contention  # of the whole session
    bind_s: float  # making it ready for its batch size; `compile` compiles here


@dataclass
class LatencySession:
    """Times latency cells, each once, and whatever else is timed in a run."""

    models: ModelCache
    options: LatencyOptions
    budget: TimeBudget
    display: ProgressDisplay
    planned: Sequence[Cell] = ()  # that will be asked for
    _timings: dict[Cell, CellTiming] = field(default_factory=dict)
    _rooflines: dict[tuple[str, str, int], Roofline | None] = field(default_factory=dict)

    def measured(self, cell: Cell) -> CellTiming:
        """Return what was measured of a cell; time it now, with others, if that was not done.

        Raises:
            BackendError: If its backend, or that of its reference, cannot run it.
        """
        if cell not in self._timings:
            self._measure_session(cell)
        return self._timings[cell]

    def time_interleaved(
        self,
        label: str,
        device: str,
        threads: int,
        groups: Sequence[ReferenceGroup],
        precisions: Sequence[str] = (),
    ) -> tuple[list[list[PairedTiming]], Contention]:
        """Time groups of calls, each against its reference (see `measure_interleaved`).

        Args:
            label: Is shown while it runs.
            device: Whose clock is watched.
            threads: CPU threads of PyTorch.
            groups: References and their candidates.
            precisions: Their rooflines are measured before, after, and now and then between rounds.
        """
        refreshed_at_s = 0.0

        def refresh() -> None:
            nonlocal refreshed_at_s
            for precision in precisions:
                key = (device, precision, threads)
                if key not in self._rooflines or self._rooflines[key]:  # else there is none to be found
                    self.refresh_roofline(*key)
            refreshed_at_s = time.perf_counter()

        def wait() -> None:
            with self.budget.idle_wait():
                wait_until_idle()

        set_torch_threads(threads)
        with (
            self.display.work(f"time {label}", quiet=True) as advance,
            ContentionMonitor(device) as monitor,
            self.budget.timed(),
        ):

            def after_round(done: int, planned: int) -> None:
                monitor.sample()
                advance(done, planned)
                if time.perf_counter() - refreshed_at_s > ROOFLINE_INTERVAL_S:
                    refresh()

            refresh()
            timings = measure_interleaved(
                groups,
                self.options,
                wait_until_idle=wait,
                state=MachineState.of(device, threads, wait),
                after_round=after_round,
            )
            refresh()
        return timings, monitor.contention

    def roofline(self, device: str, precision: str, threads: int) -> Roofline | None:
        """Return the roofline of a device, in a precision, on some threads; None where there is none."""
        if (device, precision, threads) not in self._rooflines:
            with self.budget.timed():
                self.refresh_roofline(device, precision, threads)
        return self._rooflines[device, precision, threads]

    def refresh_roofline(self, device: str, precision: str, threads: int) -> None:
        """Measure a roofline again, and keep the best of this run."""
        wait_until_idle()
        key = (device, precision, threads)
        now, before = measure_roofline(*key), self._rooflines.get(key)
        self._rooflines[key] = max_of(before, now) if before and now else before or now

    def _measure_session(self, cell: Cell) -> None:
        groups, prepared = [], []
        cells = self._cells_timed_together(cell)
        label = cell.id if len(cells) == 1 else f"{cell.id} and {len(cells) - 1} more"
        with self.display.work(f"make ready: {label}") as advance:
            for members in _by_reference(cells):
                # An error of another cell's backend is raised when that cell is asked for.
                with suppress(*([] if cell in members else [BackendError])):
                    group, bound = self._prepare_group(members, cell)
                    groups.append(group)
                    prepared.append(bound)
                advance(sum(map(len, prepared)), len(cells))
        threads = self.models.threads_of(cell)
        precisions = sorted({other.precision for bound in prepared for other, _ in bound})
        timings, contention = self.time_interleaved(label, cell.device, threads, groups, precisions)
        for bound, of_group in zip(prepared, timings, strict=True):
            for (other, bind_s), timing in zip(bound, of_group, strict=True):
                self._timings[other] = CellTiming(timing, contention, bind_s)

    def _prepare_group(
        self, members: Sequence[Cell], asked: Cell
    ) -> tuple[ReferenceGroup, list[tuple[Cell, float]]]:
        """Load and bind the cells of one reference; return their calls, and the seconds binding took each."""
        reference_cell = members[0].reference
        is_control = members[0].is_control
        inputs = self.models.inputs(reference_cell)
        # A control is paired with a second copy: an own set of weights, elsewhere in memory.
        reference = self.models.load_copy(members[0]) if is_control else self.models.get(reference_cell)
        run_reference = self.models.bind(reference, reference_cell, inputs)
        calls, bound = [], []
        for cell in members:
            with suppress(*([] if cell == asked else [BackendError])):
                model = self.models.get(cell)
                start = time.perf_counter()
                with self.budget.backend_setup():
                    calls.append(self.models.bind(model, cell, inputs))
                bound.append((cell, time.perf_counter() - start))
        if not calls:
            raise BackendError(f"no cell that is measured against {reference_cell.id} can be run")
        budget_s = self.options.budget_s * (CONTROL_BUDGET_FACTOR if is_control else 1)
        names = [reference_cell.backend, *(cell.backend for cell, _ in bound)]
        thread_pools = [name if BACKENDS[name].shared_thread_pool else "" for name in names]
        return ReferenceGroup(run_reference, calls, budget_s, thread_pools), bound

    def _cells_timed_together(self, cell: Cell) -> list[Cell]:
        """Return a cell and those that are timed in the same session, in their order."""
        size_bytes, batch = 0, [cell]
        threads = self.models.threads_of(cell)
        for other in self.planned:
            if (
                other in batch
                or other in self._timings
                or (other.device, self.models.threads_of(other)) != (cell.device, threads)
            ):
                continue
            metrics = self.models.checkpoint(other.variant).metrics
            size_bytes += metrics.size_bytes
            if size_bytes > SESSION_BYTES:
                break
            if not metrics.exhausted:  # such a cell is not asked for
                batch.append(other)
        return batch


def _by_reference(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Group cells of one reference; a control, which is its own, stands alone."""
    groups: dict[tuple[Cell, bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.reference, cell.is_control), []).append(cell)
    return list(groups.values())

"""Which latency cells are timed together: all of one device and number of threads, in turns.

The first cell that is asked for takes the others that will be asked for along on a tour, each grouped with
those of the same reference. So the rounds of each are spread over all of that time, and no two of them saw
another machine.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pruning_core.backends import BACKENDS
from pruning_core.config.cells import Cell
from pruning_core.errors import BackendError
from pruning_core.measure.interleaved import ReferenceGroup
from pruning_core.measure.paired import PairedTiming
from pruning_core.suites.model_cache import ModelCache, dense_of, plain_of
from pruning_core.suites.timing import Timer
from pruning_core.system.contention import Contention

CONTROL_BUDGET_FACTOR = 4
"""An A/A control may take so many times as long as a cell: all verdicts of a run hang on it."""

SESSION_BYTES = 2_000_000_000
"""Cells go on one tour up to this size of weights, since all of them stay in memory meanwhile."""


@dataclass(frozen=True)
class CellTiming:
    """What was measured of a latency cell."""

    timing: PairedTiming
    contention: Contention  # of the whole tour
    bind_s: float  # making it ready for its batch size; `compile` compiles here


@dataclass
class LatencySession:
    """Times latency cells, each once."""

    models: ModelCache
    timer: Timer
    planned: Sequence[Cell]  # that will be asked for
    _measured: dict[Cell, CellTiming] = field(default_factory=dict)

    def measured(self, cell: Cell) -> CellTiming:
        """Return what was measured of a cell; measure it now, with company, if nothing was.

        Raises:
            BackendError: If its backend, or that of its reference, cannot run it.
        """
        if cell not in self._measured:
            self._measure_session(cell)
        return self._measured[cell]

    def _measure_session(self, cell: Cell) -> None:
        groups, bound = [], []
        cells = self._cells_timed_together(cell)
        what = cell.id if len(cells) == 1 else f"{cell.id} and {len(cells) - 1} more"
        with self.models.place.display.work(f"make ready: {what}") as advance:
            for members in _by_reference(cells):
                # What another cell's backend says against it is said when that cell is asked for.
                with suppress(*([] if cell in members else [BackendError])):
                    group, ready = self._prepare_group(members, cell)
                    groups.append(group)
                    bound.append(ready)
                advance(sum(map(len, bound)), len(cells))
        threads = self.models.threads_of(cell)
        precisions = sorted({other.precision for ready in bound for other, _ in ready})
        timings, contention = self.timer.time_interleaved(what, cell.device, threads, groups, precisions)
        for ready, of_group in zip(bound, timings, strict=True):
            for (other, seconds), timing in zip(ready, of_group, strict=True):
                self._measured[other] = CellTiming(timing, contention, seconds)

    def _prepare_group(
        self, members: Sequence[Cell], asked: Cell
    ) -> tuple[ReferenceGroup, list[tuple[Cell, float]]]:
        """Load and bind the cells of one reference; return their calls, and the seconds binding took each."""
        reference_cell = reference_of(members[0])
        is_control = members[0] == reference_cell
        images = self.models.images(reference_cell)
        # A control is paired with a second copy: an own set of weights at another place in memory.
        reference = self.models.load_copy(members[0]) if is_control else self.models.loaded(reference_cell)
        run_reference = reference.executable.bind(images)
        calls, ready = [], []
        for cell in members:
            with suppress(*([] if cell == asked else [BackendError])):
                executable = self.models.loaded(cell).executable
                start = time.perf_counter()
                calls.append(executable.bind(images))
                ready.append((cell, time.perf_counter() - start))
        if not calls:
            raise BackendError(f"no cell that is measured against {reference_cell.id} can be run")
        self.models.prepared_s += sum(seconds for _, seconds in ready)
        budget_s = self.timer.options.budget_s * (CONTROL_BUDGET_FACTOR if is_control else 1)
        names = [reference_cell.backend, *(cell.backend for cell, _ in ready)]
        pools = [name if BACKENDS[name].shared_thread_pool else "" for name in names]
        return ReferenceGroup(run_reference, calls, budget_s, pools), ready

    def _cells_timed_together(self, cell: Cell) -> list[Cell]:
        """Return a cell and those that go on its tour, in their order."""
        size_bytes, company = 0, [cell]
        threads = self.models.threads_of(cell)
        for other in self.planned:
            if (
                other in company
                or other in self._measured
                or (other.device, self.models.threads_of(other)) != (cell.device, threads)
            ):
                continue
            metrics = self.models.checkpoint(other.variant).metrics
            size_bytes += metrics.size_bytes
            if size_bytes > SESSION_BYTES:
                break
            if not metrics.exhausted:  # such a cell is not asked for
                company.append(other)
        return company


def reference_of(cell: Cell) -> Cell:
    """Return the cell that this one is measured against.

    Pruned against dense on the same backend; dense elsewhere against dense eager fp32; that one against a
    copy of itself. So speed-ups multiply along the chain.
    """
    if not cell.variant.is_dense:
        return replace(cell, variant=dense_of(cell.variant))
    return plain_of(cell)


def _by_reference(cells: Sequence[Cell]) -> list[list[Cell]]:
    """ReferenceGroup cells of one reference; a control, which is its own, stands alone."""
    groups: dict[tuple[Cell, bool], list[Cell]] = {}
    for cell in cells:
        reference = reference_of(cell)
        groups.setdefault((reference, reference == cell), []).append(cell)
    return list(groups.values())

"""Checkpoints made ready to run: each model loaded, and each accuracy evaluated, at most once in a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from pruning_core.backends import load_executable
from pruning_core.backends.base import Executable
from pruning_core.chain.networks import load_network
from pruning_core.config.cells import Cell, Variant
from pruning_core.config.grid import Grid
from pruning_core.errors import BackendError, CrashError
from pruning_core.models.inputs import Inputs
from pruning_core.pipeline import ensure_variant
from pruning_core.store.attempts import Attempt
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.suites.time_budget import TimeBudget
from pruning_core.suites.wrapped_calls import WrapCall
from pruning_core.system.clock import Call
from pruning_core.system.hardware import max_threads, native_conditions, resolve_threads, set_torch_threads
from pruning_core.system.machine import library_versions
from pruning_core.tasks.base import Evaluation, Task
from pruning_core.tasks.calibration import draw_calibration_inputs
from pruning_core.workspace import Workspace

CACHE_BYTES = 2_000_000_000
"""Loaded models are kept for the next suite up to this size of weights, the last used ones."""

_Key = tuple[str, str, str, str, int]
"""Checkpoint, backend, precision, device, threads."""

_BatchKey = tuple[str, str, str, str, int, int]
"""Checkpoint, backend, precision, device, batch size, examples."""


@dataclass(frozen=True)
class LoadedModel:
    """A model made ready, and what that took."""

    executable: Executable
    size_bytes: int  # of its weights in the store
    setup_s: float


@dataclass
class ModelCache:
    """Loads and evaluates the cells of one grid."""

    grid: Grid
    workspace: Workspace
    budget: TimeBudget = field(default_factory=TimeBudget)
    wrap_call: WrapCall | None = None  # changes what is timed, in an experiment
    in_batches: dict[tuple[str, str, str, str, int, int], tuple[Evaluation, torch.Tensor]] = field(
        default_factory=dict
    )
    """Answers in batches of one size (see `batch_agreement.py`): checkpoint, …, batch size, examples."""
    _checkpoints: dict[Variant, Checkpoint] = field(default_factory=dict)
    _loaded: dict[_Key, LoadedModel] = field(default_factory=dict)  # the last used last
    _evaluations: dict[_Key, Evaluation] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """CPU threads of what is not timed; the largest number where the grid has several."""
        return max_threads(self.grid.threads)

    def threads_of(self, cell: Cell) -> int:
        """Return how many CPU threads a cell runs on."""
        return self.threads if cell.threads is None else resolve_threads(cell.threads)

    def checkpoint(self, variant: Variant) -> Checkpoint:
        """Load a variant's checkpoint, or make it."""
        if variant not in self._checkpoints:
            with self.budget.checkpoints():
                self._checkpoints[variant] = ensure_variant(variant, self.grid, self.workspace)
        return self._checkpoints[variant]

    def get(self, cell: Cell) -> LoadedModel:
        """Return a cell's model, loaded once; the ones not used for long make room."""
        key = self._key(cell)
        if key not in self._loaded:
            self._loaded[key] = self.load_copy(cell)
        self._loaded[key] = self._loaded.pop(key)  # the last in the dict is the last used
        while len(self._loaded) > 1 and sum(item.size_bytes for item in self._loaded.values()) > CACHE_BYTES:
            del self._loaded[next(iter(self._loaded))]
        return self._loaded[key]

    def load_copy(self, cell: Cell) -> LoadedModel:
        """Load a cell's model, with weights of its own."""
        checkpoint = self.checkpoint(cell.variant)
        network = load_network(checkpoint)
        calibration = self._calibration(cell) if cell.precision == "int8" else None
        label = f"load {cell.variant.id} on {cell.backend}:{cell.precision}, {cell.device}"
        name = f"{checkpoint.key}-{cell.backend}-{cell.precision}-{cell.device.replace(':', '')}"
        start = time.perf_counter()
        with self.budget.backend_setup(), self._foreign_code(name, label) as attempt:
            attempt.step("export, compilation or quantization")
            executable = load_executable(
                cell.backend,
                network,
                self.task(cell).one(),
                cell.precision,
                cell.device,
                self.threads_of(cell),
                calibration=calibration,
            )
        setup_s = time.perf_counter() - start
        return LoadedModel(executable, checkpoint.metrics.size_bytes, setup_s)

    def task(self, cell: Cell) -> Task:
        """Return the task of a cell."""
        return self.workspace.task(cell.variant)

    def bind(self, model: LoadedModel, cell: Cell, inputs: Inputs) -> Call:
        """Return what is timed of a cell: one call of its model on its inputs."""
        call = model.executable.bind(inputs)
        return call if self.wrap_call is None else self.wrap_call(cell, call)

    def evaluate(self, cell: Cell) -> Evaluation:
        """Evaluate a cell's variant on its backend over all test examples, once in a run."""
        cell = replace(cell, batch_size=None, threads=None)  # answers do not depend on them
        key = self._key(cell)
        if key not in self._evaluations:
            executable = self.get(cell).executable
            set_torch_threads(self.threads_of(cell))
            label = f"evaluate {cell.variant.id} on {cell.backend}:{cell.precision}, {cell.device}"
            with self.budget.timed(), self.workspace.display.waiting_for(label):
                self._evaluations[key] = self.task(cell).evaluate(executable.predict)
        return self._evaluations[key]

    def inputs(self, cell: Cell) -> Inputs:
        """Return random inputs of a batch, the same in every run: normalised images (N, C, H, W), say."""
        return self.task(cell).random_inputs(cell.batch_size or 1)

    @contextmanager
    def _foreign_code(self, name: str, label: str) -> Iterator[Attempt]:
        """Note on disk what foreign code is asked to do; say so when it hangs, or has died at it before."""
        versions = {field: str(value) for field, value in library_versions().items()}
        try:
            with (
                self.workspace.store.attempts.begin(
                    name, label, {**native_conditions(), **versions}, "Leave that backend out with --backends"
                ) as attempt,
                self.workspace.display.waiting_for(label, attempt.note_silence),
            ):
                yield attempt
        except CrashError as error:
            raise BackendError(str(error)) from None  # this cell's, not the run's

    def _calibration(self, cell: Cell) -> Inputs:
        """Return inputs of training examples, the same in every run."""
        try:
            return draw_calibration_inputs(self.task(cell))
        except (ValueError, RuntimeError) as error:
            raise BackendError(
                f"{cell.backend} int8 takes its ranges from training examples of one shape, and those of "
                f"{cell.variant.dataset} differ. Leave int8 out with --backends"
            ) from error

    def _key(self, cell: Cell) -> _Key:
        key = self.checkpoint(cell.variant).key
        return key, cell.backend, cell.precision, cell.device, self.threads_of(cell)

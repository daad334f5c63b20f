"""What the suites in `bench/` ask for: what was measured of a cell, as a record."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import nn

from pruning_core.chain.networks import example_of, load_network
from pruning_core.chain.ranking import ranking_losses
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import Cell, Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import DenseSpec, PrunedSpec, key_of
from pruning_core.config.thresholds import Threshold, limit_fields
from pruning_core.errors import NotTimedError
from pruning_core.models.inputs import tensors_of
from pruning_core.pruning.step import prune
from pruning_core.records.fields import Record
from pruning_core.records.record import make_record
from pruning_core.records.score import measure_of
from pruning_core.stats.intervals import control_problem
from pruning_core.suites.batch_agreement import batch_agreement_fields
from pruning_core.suites.cell_fields import (
    checkpoint_fields,
    device_fields,
    epoch_fields,
    mac_fields,
    prediction_fields,
    variant_fields,
)
from pruning_core.suites.latency_fields import contention_fields, efficiency_fields, timing_fields
from pruning_core.suites.latency_session import LatencySession
from pruning_core.suites.model_cache import ModelCache
from pruning_core.suites.target_fields import cost_target_fields, latency_target_fields
from pruning_core.suites.time_budget import TimeBudget
from pruning_core.suites.training_speed import time_training
from pruning_core.suites.wrapped_calls import WrapCall
from pruning_core.system.hardware import set_torch_threads
from pruning_core.workspace import Workspace


@dataclass
class Harness:
    """Makes and measures the cells of one grid.

    `models` makes and loads checkpoints and evaluates cells; `session` times them; `budget` says where the
    time went.
    """

    grid: Grid
    workspace: Workspace
    planned: tuple[Cell, ...] = ()  # latency cells that will be asked for
    not_timed: str = ""  # why nothing may be timed in this run; empty: it may
    wrap_call: WrapCall | None = None  # changes what is timed, in an experiment
    controls: list[Record] = field(default_factory=list)
    contended_records: list[Record] = field(default_factory=list)  # timed under contention

    def __post_init__(self) -> None:
        """Use the grid's number of threads from here on."""
        self.budget = TimeBudget()
        self.models = ModelCache(self.grid, self.workspace, self.budget, self.wrap_call)
        self.session = LatencySession(
            self.models, self.grid.latency, self.budget, self.workspace.display, self.planned
        )
        set_torch_threads(self.models.threads)

    def pruning_step(self, variant: Variant) -> tuple[Callable[[], nn.Module], Callable[[nn.Module], object]]:
        """Return what is timed in the cost suite.

        Returns:
            A function that returns the network to start from, and one that prunes it. For dense there is
            nothing to prune: the second one only puts it in evaluation mode.
        """
        spec = self.models.checkpoint(variant).spec
        if not isinstance(spec, PrunedSpec):
            return lambda: load_network(self.models.checkpoint(variant)), lambda network: network.eval()
        parent = self.workspace.store.load(spec.parent)
        dense, example = self.models.checkpoint(variant.dense), example_of(spec)
        task = self.workspace.task(variant)

        def prune_once(network: nn.Module) -> object:
            with self.budget.timed():
                return prune(
                    network,
                    load_network(dense),
                    spec.method,
                    spec.ratio,
                    example,
                    spec.fine_tune.seed,
                    losses=ranking_losses(task, spec.method, spec.fine_tune.seed),
                )

        return lambda: load_network(parent), prune_once

    def cost_record(self, variant: Variant) -> Record:
        """Return what a variant costs: MACs, parameters, bytes, widths."""
        checkpoint = self.models.checkpoint(variant)
        metrics = checkpoint.metrics
        return make_record(
            suite="cost",
            cell=variant.id,
            **checkpoint_fields(self.models, variant),
            **mac_fields(metrics),
            params=metrics.params,
            size_bytes=metrics.size_bytes,
            achieved_ratio=checkpoint.plan.achieved_ratio,
            sparsity=metrics.sparsity,
            widths=checkpoint.plan.widths,
            dense_widths=checkpoint.plan.dense_widths,
            train_precision=metrics.train_precision,
            train_device=metrics.train_device,
            train_cuda_graph=metrics.train_cuda_graph,
            train_memory_format=metrics.train_memory_format,
            train_s=metrics.train_s,
            train_overhead_s=metrics.train_overhead_s,
            **epoch_fields(self.models, variant),
            **cost_target_fields(self.grid, variant, metrics, self.models.checkpoint(variant.dense).metrics),
        )

    def accuracy_record(self, cell: Cell, threshold: Threshold | None) -> Record:
        """Return a cell's score, what dense reaches on the same backend, and what is asked for."""
        variant = cell.variant
        evaluation = self.models.evaluate(cell)
        dense = self.models.evaluate(replace(cell, variant=variant.dense))
        predictions = prediction_fields(self.models, cell, threshold)
        measure = measure_of(predictions)
        limits = {} if measure is None else limit_fields(threshold, measure)
        pruned = self.models.checkpoint(variant).metrics.pruned_fields
        return make_record(
            suite="accuracy",
            cell=cell.id,
            **checkpoint_fields(self.models, variant),
            **device_fields(self.models, cell),
            **predictions,
            setup_s=self.models.get(cell).setup_s,
            **pruned,
            **self.models.task(cell).drop_fields(evaluation, dense),
            **limits,
        )

    def latency_record(self, cell: Cell, threshold: Threshold | None = None) -> tuple[Record, list[float]]:
        """Measure a cell in pairs with its reference.

        Args:
            cell: With a batch size.
            threshold: Says how many of its predictions must be those of eager fp32.

        Returns:
            The record, and the samples in seconds per call of this cell.

        Raises:
            NotTimedError: If nothing is timed in this run.
        """
        self._check_timing()
        assert cell.batch_size is not None
        reference = cell.reference
        # Before timing: a model that predicts wrongly need not be timed for long.
        predictions = prediction_fields(self.models, cell, threshold)
        measured = self.session.measured(cell)
        predictions |= batch_agreement_fields(self.models, cell)  # now that it is ready for that size
        model = self.models.get(cell)
        inputs = self.models.inputs(cell)
        peak_bytes = model.executable.peak_memory_bytes(inputs)
        record = make_record(
            suite="latency",
            cell=cell.id,
            **checkpoint_fields(self.models, cell.variant),
            **device_fields(self.models, cell),
            **predictions,
            setup_s=model.setup_s + measured.bind_s,
            batch_size=cell.batch_size,
            reference=reference.id,
            is_control=cell.is_control,
            **timing_fields(measured.timing, self.grid.latency, cell.batch_size),
            **efficiency_fields(
                measured.timing,
                self.models.checkpoint(cell.variant).metrics,
                self.models.checkpoint(reference.variant).metrics,
                self.session.roofline(cell.device, cell.precision, self.models.threads_of(cell)),
                model.executable.time_on_device(inputs),
                precision=cell.precision,
                batch_size=cell.batch_size,
                image_values=sum(tensor[0].numel() for tensor in tensors_of(inputs)),
            ),
            **contention_fields(measured.contention),
            **({} if peak_bytes is None else {"peak_memory_bytes": peak_bytes}),
        )
        if cell.is_control:
            self.controls.append(record)
        record["contaminated"] = record["contaminated"] or bool(self.control_problem())
        record |= latency_target_fields(self.grid, cell, record)
        if record["contention"]:
            self.contended_records.append(record)
        return record, list(measured.timing.candidate_s)

    def training_record(self, variant: Variant) -> tuple[Record, list[float]]:
        """Time training steps of a dense network; no checkpoint is made.

        Returns:
            The record, and the samples in seconds per step of ours.

        Raises:
            NotTimedError: If nothing is timed in this run.
        """
        self._check_timing()
        spec = chain_specs(variant.dense, self.grid, self.workspace)[0]
        assert isinstance(spec, DenseSpec)
        fields, samples_s = time_training(
            spec.model_copy(update={"train": self.grid.train}),  # also of one that comes with its weights
            self.workspace.task(variant),
            self.session,
            self.models.threads,
        )
        record = make_record(
            suite="training",
            cell=f"{variant.id}-training",
            **variant_fields(variant, spec, self.grid),
            key=key_of(spec),
            exhausted=False,
            **fields,
        )
        if record["contention"]:
            self.contended_records.append(record)
        return record, samples_s

    def control_problem(self) -> str:
        """Say which A/A controls contradict this run's times; empty when none does."""
        tolerance = self.grid.latency.control_tolerance
        return "; ".join(
            f"{r['cell']}: two identical models gave a speed-up of {r['speedup']:.3f} "
            f"[{r['speedup_low']:.3f}, {r['speedup_high']:.3f}], {problem}"
            for r in self.controls
            if (problem := control_problem(r["speedup_low"], r["speedup_high"], tolerance))
        )

    def _check_timing(self) -> None:
        if self.not_timed:
            raise NotTimedError(self.not_timed)

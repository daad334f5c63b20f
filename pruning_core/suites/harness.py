"""What the suites in `bench/` ask for: the checkpoint of a cell, and what was measured of it, as a record."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from pruning_core.backends.base import options_text
from pruning_core.chain.networks import load_network
from pruning_core.chain.specs import chain_specs
from pruning_core.config.cells import Cell, Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, DenseSpec, PrunedSpec, key_of
from pruning_core.config.thresholds import Threshold, min_agreement
from pruning_core.errors import NotTimedError
from pruning_core.measure.accuracy import Evaluation, agreement, logit_difference
from pruning_core.pruning.step import prune
from pruning_core.records.fields import Record
from pruning_core.records.record import make_record, pack_correct_bits
from pruning_core.stats.intervals import control_problem
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.suites.batch_agreement import batch_agreement_fields
from pruning_core.suites.latency_fields import contention_fields, efficiency_fields, timing_fields
from pruning_core.suites.latency_session import LatencySession, reference_of
from pruning_core.suites.model_cache import ModelCache, dense_of, plain_of
from pruning_core.suites.timing import Timer
from pruning_core.suites.training_record import time_training
from pruning_core.system.hardware import set_torch_threads
from pruning_core.workspace import Workspace


@dataclass
class Harness:
    """Makes and measures the cells of one grid."""

    grid: Grid
    place: Workspace
    planned: tuple[Cell, ...] = ()  # latency cells that will be asked for
    not_timed: str = ""  # why nothing may be timed in this run; empty: it may
    controls: list[Record] = field(default_factory=list)
    disturbed: list[Record] = field(default_factory=list)  # timed while others kept the machine busy

    def __post_init__(self) -> None:
        """Use the grid's number of threads from here on."""
        self.models = ModelCache(self.grid, self.place)
        self.timer = Timer(self.models, self.grid.latency, self.place.display)
        self.tours = LatencySession(self.models, self.timer, self.planned)
        set_torch_threads(self.models.threads)

    def checkpoint(self, variant: Variant) -> Checkpoint:
        """Load a variant's checkpoint, or make it."""
        return self.models.checkpoint(variant)

    def pruning_step(self, variant: Variant) -> tuple[Callable[[], nn.Module], Callable[[nn.Module], object]]:
        """Return what is timed in the cost suite.

        Returns:
            A function that gives the network to start from, and one that prunes it. For dense there is
            nothing to prune: the second one only puts it in evaluation mode.
        """
        spec = self.checkpoint(variant).spec
        if not isinstance(spec, PrunedSpec):
            return lambda: load_network(self.checkpoint(variant)), lambda network: network.eval()
        parent = self.place.store.load(spec.parent)
        example = torch.zeros(1, spec.dataset.channels, spec.dataset.height, spec.dataset.width)
        dense = self.checkpoint(dense_of(variant))

        def prune_once(network: nn.Module) -> object:
            with self.models.measuring():
                return prune(
                    network, load_network(dense), spec.method, spec.ratio, example, spec.fine_tune.seed
                )

        return lambda: load_network(parent), prune_once

    def cost_record(self, variant: Variant) -> Record:
        """Return what a variant costs: MACs, parameters, bytes, widths."""
        checkpoint = self.checkpoint(variant)
        metrics = checkpoint.metrics
        spec = checkpoint.spec
        epochs = spec.fine_tune.epochs if isinstance(spec, PrunedSpec) else spec.train.epochs
        return make_record(
            suite="cost",
            cell=variant.id,
            **self._identity(variant),
            macs=metrics.macs,
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
            epochs=epochs,
        )

    def evaluate(self, cell: Cell) -> Evaluation:
        """Evaluate a cell's variant on its backend over the whole test split, once in a run."""
        return self.models.evaluate(cell)

    def accuracy_record(self, cell: Cell, threshold: Threshold | None) -> Record:
        """Return a cell's accuracy, what dense reaches on the same backend, and what is asked for."""
        variant = cell.variant
        evaluation = self.models.evaluate(cell)
        dense = self.models.evaluate(replace(cell, variant=dense_of(variant)))
        limits = (
            {}
            if threshold is None
            else {"min_accuracy": threshold.min_accuracy, "max_accuracy_drop": threshold.max_accuracy_drop}
        )
        labels = self.place.dataset(variant.dataset).test.labels
        return make_record(
            suite="accuracy",
            cell=cell.id,
            **self._identity(variant),
            **self._where(cell),
            **self._answers(cell, threshold),
            setup_s=self.models.loaded(cell).setup_s,
            accuracy_pruned=self.checkpoint(variant).metrics.accuracy_pruned,
            dense_accuracy=dense.accuracy,
            accuracy_drop=dense.accuracy - evaluation.accuracy,
            correct_bits=pack_correct_bits((evaluation.predictions == labels).tolist()),
            **limits,
        )

    def latency_record(self, cell: Cell, threshold: Threshold | None = None) -> tuple[Record, list[float]]:
        """Measure a cell in pairs with its reference.

        Args:
            cell: With a batch size.
            threshold: Says how far its answers may differ from those of eager fp32.

        Returns:
            The record, and the samples in seconds per call of this cell.

        Raises:
            NotTimedError: If nothing is timed in this run.
        """
        self._check_timing()
        assert cell.batch_size is not None
        reference_cell = reference_of(cell)
        control = reference_cell == cell
        answers = self._answers(cell, threshold)  # before timing: a wrong model need not be timed for long
        measured = self.tours.measured(cell)
        answers |= batch_agreement_fields(self.models, cell)  # now that it is ready for that size
        loaded = self.models.loaded(cell)
        images = self.models.images(cell)
        peak_bytes = loaded.executable.peak_memory_bytes(images)
        record = make_record(
            suite="latency",
            cell=cell.id,
            **self._identity(cell.variant),
            **self._where(cell),
            **answers,
            setup_s=loaded.setup_s + measured.bind_s,
            batch_size=cell.batch_size,
            reference=reference_cell.id,
            is_control=control,
            **timing_fields(measured.timing, self.grid.latency, cell.batch_size),
            **efficiency_fields(
                measured.timing,
                self.checkpoint(cell.variant).metrics,
                self.checkpoint(reference_cell.variant).metrics,
                self.timer.ceiling(cell.device, cell.precision, self.models.threads_of(cell)),
                loaded.executable.time_on_device(images),
                precision=cell.precision,
                batch_size=cell.batch_size,
                image_values=images[0].numel(),
            ),
            **contention_fields(measured.contention),
            **({} if peak_bytes is None else {"peak_memory_bytes": peak_bytes}),
        )
        if control:
            self.controls.append(record)
        record["contaminated"] = record["contaminated"] or bool(self.control_problem())
        if record["contention"]:
            self.disturbed.append(record)
        return record, list(measured.timing.candidate_s)

    def training_record(self, variant: Variant) -> tuple[Record, list[float]]:
        """Time training steps of a dense network; no checkpoint is made.

        Returns:
            The record, and the samples in seconds per step of ours.

        Raises:
            NotTimedError: If nothing is timed in this run.
        """
        self._check_timing()
        spec = chain_specs(variant, self.grid, self.place)[0]
        assert isinstance(spec, DenseSpec)
        fields, samples_s = time_training(
            spec, self.place.dataset(variant.dataset), self.timer, self.models.threads
        )
        record = make_record(
            suite="training",
            cell=f"{variant.id}-training",
            **self._described(variant, spec),
            key=key_of(spec),
            exhausted=False,
            **fields,
        )
        if record["contention"]:
            self.disturbed.append(record)
        return record, samples_s

    def control_problem(self) -> str:
        """Say which A/A controls speak against this run's times; empty when none does."""
        tolerance = self.grid.latency.control_tolerance
        return "; ".join(
            f"{r['cell']}: two identical models came out {r['speedup']:.3f} "
            f"[{r['speedup_low']:.3f}, {r['speedup_high']:.3f}], {problem}"
            for r in self.controls
            if (problem := control_problem(r["speedup_low"], r["speedup_high"], tolerance))
        )

    def _check_timing(self) -> None:
        if self.not_timed:
            raise NotTimedError(self.not_timed)

    def _identity(self, variant: Variant) -> Record:
        checkpoint = self.checkpoint(variant)
        return {
            **self._described(variant, checkpoint.spec),
            "key": checkpoint.key,
            "exhausted": checkpoint.metrics.exhausted,
        }

    def _described(self, variant: Variant, spec: CheckpointSpec) -> Record:
        train = spec.fine_tune if isinstance(spec, PrunedSpec) else spec.train
        return {
            "status": "ok",
            "failure": "",
            "model": variant.model,
            "dataset": variant.dataset_name,
            "dataset_fingerprint": spec.dataset.fingerprint,
            "method": variant.method,
            "ratio": variant.ratio,
            "schedule": self.grid.schedule,
            "scope": self.grid.scope,
            "round_to": self.grid.round_to,
            "seed": train.seed,
        }

    def _where(self, cell: Cell) -> dict[str, Any]:
        return {
            "backend": cell.backend,
            "precision": cell.precision,
            "device": cell.device,
            "threads": self.models.threads_of(cell),
        }

    def _answers(self, cell: Cell, threshold: Threshold | None) -> dict[str, Any]:
        """Return how a cell answers and how far that is from eager fp32: wrong speed is no speed."""
        evaluation = self.models.evaluate(cell)
        plain = self.models.evaluate(plain_of(cell))
        executable = self.models.loaded(cell).executable
        low, high = evaluation.interval
        difference = logit_difference(evaluation, plain)
        return {
            "accuracy": evaluation.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "accuracy_n": evaluation.n,
            "agreement": agreement(evaluation, plain),
            "min_agreement": min_agreement(threshold, cell.precision),
            **({} if difference is None else {"logit_difference": difference}),
            "memory_format": executable.memory_format,
            "backend_options": options_text(executable.options(cell.batch_size)),
        }

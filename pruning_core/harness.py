"""What the suites in `bench/` ask for: the checkpoint of a cell, and what was measured of it, as a record.

Each checkpoint is made, each backend's model loaded and each accuracy evaluated at most once in a run. Not
for: asserting anything (the suites do), or speaking to pytest (`pytest_plugin.py` does).
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from pruning_core.backends import load_executable
from pruning_core.backends.base import Executable
from pruning_core.errors import BackendError
from pruning_core.grid import DENSE, Cell, Grid, Variant
from pruning_core.hardware import resolve_threads
from pruning_core.intervals import median_interval
from pruning_core.measure.accuracy import Evaluation, agreement, evaluate
from pruning_core.measure.latency import PairedTiming, measure_together, speedup_interval
from pruning_core.pipeline import Workplace, load_network, make_variant, prune
from pruning_core.records import Record, make_record, pack_answers
from pruning_core.spec import PrunedSpec
from pruning_core.store import Checkpoint
from pruning_core.thresholds import Threshold

REFERENCE_BACKEND = ("eager", "fp32")
"""Backend and precision that dense models on other backends are measured against."""

RESIDENT_BYTES = 2_000_000_000
"""Loaded models are kept for the next suite up to this size of weights, the last used ones."""


@dataclass
class Harness:
    """Makes and measures the cells of one grid."""

    grid: Grid
    place: Workplace
    planned: tuple[Cell, ...] = ()  # latency cells that will be asked for
    # with the size of their weights in bytes, the last used last
    _executables: dict[tuple[str, str, str, str], tuple[Executable, int]] = field(default_factory=dict)
    _evaluations: dict[tuple[str, str, str, str], Evaluation] = field(default_factory=dict)
    _timings: dict[Cell, PairedTiming] = field(default_factory=dict)  # measured, not yet asked for
    controls: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Use the grid's number of threads from here on."""
        self.threads = resolve_threads(self.grid.threads)
        torch.set_num_threads(self.threads)

    def checkpoint(self, variant: Variant) -> Checkpoint:
        """Load a variant's checkpoint, or make it."""
        return make_variant(variant, self.grid, self.place)

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
        dense = self.checkpoint(_dense_of(variant))

        def prune_once(network: nn.Module) -> object:
            return prune(network, load_network(dense), spec.method, spec.ratio, example, spec.fine_tune.seed)

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
            widths=checkpoint.plan.widths,
            dense_widths=checkpoint.plan.dense_widths,
            train_precision=metrics.train_precision,
            train_device=metrics.train_device,
            epochs=epochs,
        )

    def evaluate(self, cell: Cell) -> Evaluation:
        """Evaluate a cell's variant on its backend over the whole test split, once in a run."""
        key = self._key(cell)
        if key not in self._evaluations:
            dataset = self.place.dataset(cell.variant.dataset)
            executable = self._executable(cell)
            self._evaluations[key] = evaluate(executable.predict, dataset.test, dataset.spec)
        return self._evaluations[key]

    def accuracy_record(self, cell: Cell, threshold: Threshold | None) -> Record:
        """Return a cell's accuracy, what dense reaches on the same backend, and what is asked for."""
        variant = cell.variant
        metrics = self.checkpoint(variant).metrics
        evaluation = self.evaluate(cell)
        dense = self.evaluate(_with(cell, variant=_dense_of(variant)))
        reference = self.evaluate(_with(cell, backend=REFERENCE_BACKEND[0], precision=REFERENCE_BACKEND[1]))
        limits = (
            {}
            if threshold is None
            else {"accuracy_floor": threshold.floor, "accuracy_allowed_drop": threshold.allowed_drop}
        )
        labels = self.place.dataset(variant.dataset).test.labels
        return make_record(
            suite="accuracy",
            cell=cell.id,
            **self._identity(variant),
            **self._where(cell),
            **_accuracy_fields(evaluation),
            accuracy_pruned=metrics.accuracy_pruned,
            dense_accuracy=dense.accuracy,
            accuracy_drop=dense.accuracy - evaluation.accuracy,
            agreement=agreement(evaluation, reference),
            right_answers=pack_answers((evaluation.predictions == labels).tolist()),
            **limits,
        )

    def latency_record(self, cell: Cell) -> tuple[Record, list[float]]:
        """Measure a cell in pairs with its reference.

        Returns:
            The record, and the samples in seconds per call of this cell.
        """
        assert cell.batch_size is not None
        reference_cell = reference_of(cell)
        control = reference_cell == cell
        if cell not in self._timings:
            self._measure_with_company(cell)
        timing = self._timings.pop(cell)
        options = self.grid.latency
        low, high, coverage = speedup_interval(timing, options.confidence)
        latency_low_s, latency_high_s, _ = median_interval(timing.candidate_s, options.confidence)
        latency_s = median(timing.candidate_s)
        record = make_record(
            suite="latency",
            cell=cell.id,
            **self._identity(cell.variant),
            **self._where(cell),
            **_accuracy_fields(self.evaluate(cell)),
            batch_size=cell.batch_size,
            latency_ms=latency_s * 1e3,
            latency_low_ms=latency_low_s * 1e3,
            latency_high_ms=latency_high_s * 1e3,
            latency_p95_ms=float(np.quantile(timing.candidate_s, 0.95)) * 1e3,
            images_per_s=cell.batch_size / latency_s,
            reference=reference_cell.id,
            reference_latency_ms=median(timing.reference_s) * 1e3,
            speedup=timing.speedup,
            speedup_low=low,
            speedup_high=high,
            confidence=coverage,
            log_ratios=list(timing.log_ratios),
            rounds=timing.rounds,
            calls_per_sample=timing.calls_per_sample,
            control=control,
            contaminated=False,
        )
        if control:
            self.controls.append(record)
        return record, list(timing.candidate_s)

    def _measure_with_company(self, cell: Cell) -> None:
        """Measure a cell and those that will be asked for with the same reference: they share its samples."""
        reference_cell = reference_of(cell)
        images = self._images(cell)
        bound = {cell: self._executable(cell).bind(images)}
        if reference_cell == cell:
            # A control is paired with a second copy: an own set of weights at another place in memory.
            reference = self._load(cell)
        else:
            reference = self._executable(reference_cell)
            for other in self._company_of(cell):
                with suppress(BackendError):  # said when that cell is asked for
                    bound[other] = self._executable(other).bind(images)
        timings = measure_together(reference.bind(images), list(bound.values()), self.grid.latency)
        self._timings |= dict(zip(bound, timings, strict=True))

    def _company_of(self, cell: Cell) -> list[Cell]:
        return [
            other
            for other in self.planned
            if other != cell
            and reference_of(other) == reference_of(cell) != other  # a control has a reference of its own
            and not self.checkpoint(other.variant).metrics.exhausted  # not asked for
        ]

    def contamination(self) -> str:
        """Say which A/A controls left the tolerance; empty when none did."""
        tolerance = self.grid.latency.tolerance
        outside = [r for r in self.controls if not _within(r, tolerance)]
        return "; ".join(
            f"{r['cell']}: two identical models came out {r['speedup']:.3f} "
            f"[{r['speedup_low']:.3f}, {r['speedup_high']:.3f}]"
            for r in outside
        )

    def _identity(self, variant: Variant) -> Record:
        checkpoint = self.checkpoint(variant)
        spec = checkpoint.spec
        train = spec.fine_tune if isinstance(spec, PrunedSpec) else spec.train
        return {
            "status": "ok",
            "failure": "",
            "model": variant.model,
            "dataset": spec.dataset.name,
            "dataset_fingerprint": spec.dataset.fingerprint,
            "method": variant.method,
            "ratio": variant.ratio,
            "schedule": self.grid.schedule,
            "scope": self.grid.scope,
            "round_to": self.grid.round_to,
            "key": checkpoint.key,
            "seed": train.seed,
            "exhausted": checkpoint.metrics.exhausted,
        }

    def _where(self, cell: Cell) -> dict[str, Any]:
        return {
            "backend": cell.backend,
            "precision": cell.precision,
            "device": cell.device,
            "threads": self.threads,
        }

    def _key(self, cell: Cell) -> tuple[str, str, str, str]:
        return self.checkpoint(cell.variant).key, cell.backend, cell.precision, cell.device

    def _executable(self, cell: Cell) -> Executable:
        key = self._key(cell)
        if key not in self._executables:
            size_bytes = self.checkpoint(cell.variant).metrics.size_bytes
            self._executables[key] = (self._load(cell), size_bytes)
        self._executables[key] = self._executables.pop(key)  # the last in the dict is the last used
        while len(self._executables) > 1 and sum(s for _, s in self._executables.values()) > RESIDENT_BYTES:
            del self._executables[next(iter(self._executables))]
        return self._executables[key][0]

    def _load(self, cell: Cell) -> Executable:
        network = load_network(self.checkpoint(cell.variant))
        example = self._images(cell)[:1]
        return load_executable(cell.backend, network, example, cell.precision, cell.device, self.threads)

    def _images(self, cell: Cell) -> torch.Tensor:
        """Return random normalised images, the same in every run: (batch size, C, H, W)."""
        spec = self.place.dataset(cell.variant.dataset).spec
        generator = torch.Generator().manual_seed(0)
        return torch.randn(cell.batch_size or 1, spec.channels, spec.height, spec.width, generator=generator)


def reference_of(cell: Cell) -> Cell:
    """Return the cell that this one is measured against.

    Pruned against dense on the same backend; dense elsewhere against dense eager fp32; that one against a
    copy of itself. So speed-ups multiply along the chain.
    """
    if not cell.variant.is_dense:
        return _with(cell, variant=_dense_of(cell.variant))
    return _with(cell, backend=REFERENCE_BACKEND[0], precision=REFERENCE_BACKEND[1])


def _with(
    cell: Cell, *, variant: Variant | None = None, backend: str | None = None, precision: str | None = None
) -> Cell:
    return Cell(
        variant or cell.variant,
        backend or cell.backend,
        precision or cell.precision,
        cell.device,
        cell.batch_size,
    )


def _dense_of(variant: Variant) -> Variant:
    return Variant(variant.model, variant.dataset, DENSE, 0.0)


def _accuracy_fields(evaluation: Evaluation) -> dict[str, Any]:
    low, high = evaluation.interval
    return {
        "accuracy": evaluation.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_n": evaluation.n,
    }


def _within(record: Record, tolerance: float) -> bool:
    bound = math.log1p(tolerance)
    return abs(math.log(record["speedup_low"])) <= bound and abs(math.log(record["speedup_high"])) <= bound

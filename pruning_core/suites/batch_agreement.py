"""Whether a model predicts in batches of the size that is timed as it does over the whole test split.

A network may take another path for one image alone; an export follows one path only. Then times and
predictions are of two models.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pruning_core.backends.base import Executable
from pruning_core.config.cells import Cell
from pruning_core.datasets.base import Split
from pruning_core.errors import BackendError, ModelError
from pruning_core.measure.accuracy import Evaluation, agreement, evaluate, logit_difference
from pruning_core.suites.model_cache import ModelCache
from pruning_core.system.hardware import set_torch_threads

FEW_IMAGES, MANY_IMAGES = 64, 512
"""Few are tried first; if logits of one differ from those of the whole split, many are counted."""

MAX_DIFFERENCE, MAX_REFERENCE_DIFFERENCE = 0.02, 1e-3
"""Differences between two batch sizes that are rounding, of the largest logit; the second for eager fp32."""


def batch_agreement_fields(models: ModelCache, cell: Cell) -> dict[str, Any]:
    """Return agreement and logit difference of a latency cell: the worst of whole split and batch size.

    In batches of its size a cell must agree with eager fp32 over the whole split, and with eager fp32 in
    batches of that size. The first batch goes the way that is timed.

    Args:
        models: Loads and evaluates.
        cell: With a batch size.

    Raises:
        BackendError: If a batch of that size gives logits of another shape.
    """
    whole, reference = models.evaluate(cell), models.evaluate(cell.on_reference_backend)
    compared = [(whole, reference)]
    few, few_reference, chosen = _evaluate_both(models, cell, FEW_IMAGES)
    if not (
        _same_logits(few, _take(whole, chosen), MAX_DIFFERENCE)
        and _same_logits(few_reference, _take(reference, chosen), MAX_REFERENCE_DIFFERENCE)
    ):
        many, many_reference, chosen = _evaluate_both(models, cell, MANY_IMAGES)
        compared += [(many, many_reference), (many, _take(reference, chosen))]
    differences = [logit_difference(a, b) for a, b in compared]
    known = [difference for difference in differences if difference is not None]
    return {
        "agreement": min(agreement(a, b) for a, b in compared),
        **({"logit_difference": max(known)} if len(known) == len(differences) else {}),
    }


def _evaluate_both(models: ModelCache, cell: Cell, n: int) -> tuple[Evaluation, Evaluation, Tensor]:
    """Evaluate the first images of the test split in batches of the cell's size, on its backend and on eager.

    Returns:
        Both evaluations, and the indices of their images in the split, (N,) int64, N a multiple of the batch
        size.
    """
    assert cell.batch_size is not None
    count = len(models.workspace.dataset(cell.variant.dataset).test.labels)
    batches = -(-min(n, count) // cell.batch_size)
    chosen = torch.arange(batches * cell.batch_size) % count  # whole batches: a smaller one is another size
    return _evaluate(models, cell, chosen), _evaluate(models, cell.on_reference_backend, chosen), chosen


def _evaluate(models: ModelCache, cell: Cell, chosen: Tensor) -> Evaluation:
    assert cell.batch_size is not None
    dataset = models.workspace.dataset(cell.variant.dataset)
    key = (models.checkpoint(cell.variant).key, cell.backend, cell.precision, cell.device, cell.batch_size)
    found = models.in_batches.get((*key, len(chosen)))
    if found is None:
        split = Split(dataset.test.images[chosen], dataset.test.labels[chosen])
        executable = models.get(cell).executable
        set_torch_threads(models.threads_of(cell))
        try:
            with models.budget.timed():
                found = evaluate(_bound_first(executable), split, dataset.spec, cell.batch_size)
        except ModelError as error:
            raise BackendError(
                f"{cell.backend} {cell.precision} in batches of {cell.batch_size}: {error}"
            ) from error
        models.in_batches[(*key, len(chosen))] = found
    return found


def _bound_first(executable: Executable) -> Callable[[Tensor], Tensor]:
    """Return a function that runs its first batch as a timed call does, and the others by `predict`."""
    first = True

    def predict(images: Tensor) -> Tensor:  # (N, C, H, W) -> (N, classes)
        nonlocal first
        if first:
            first = False
            return executable.bind(images)().to("cpu", torch.float32, copy=True)
        return executable.predict(images)

    return predict


def _take(evaluation: Evaluation, chosen: Tensor) -> Evaluation:
    """Return the evaluation of some of the images; how many are correct is not asked for."""
    return Evaluation(0, len(chosen), evaluation.predictions[chosen], evaluation.logits[chosen])


def _same_logits(a: Evaluation, b: Evaluation, tolerance: float) -> bool:
    return torch.allclose(a.logits, b.logits, rtol=0.0, atol=tolerance * float(b.logits.abs().max()))

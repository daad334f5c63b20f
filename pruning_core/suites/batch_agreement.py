"""Whether a model predicts in batches of the size that is timed as it does over all test examples.

A network may take another path for one image alone; an export follows one path only. Then times and
predictions are of two models.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pruning_core.backends.base import Executable
from pruning_core.config.cells import Cell
from pruning_core.errors import BackendError, ModelError
from pruning_core.models.inputs import Inputs, Outputs
from pruning_core.models.memory_format import to_type
from pruning_core.suites.model_cache import ModelCache
from pruning_core.system.hardware import set_torch_threads
from pruning_core.tasks.base import Evaluation

FEW_IMAGES, MANY_IMAGES = 64, 512
"""Few are tried first; if logits of one differ from those of the whole split, many are counted."""

MAX_DIFFERENCE, MAX_REFERENCE_DIFFERENCE = 0.02, 1e-3
"""Differences between two batch sizes that are rounding, of the largest logit; the second for eager fp32."""


def batch_agreement_fields(models: ModelCache, cell: Cell) -> dict[str, Any]:
    """Return agreement and logit difference of a latency cell: the worst of all examples and batch size.

    In batches of its size a cell must agree with eager fp32 over all test examples, and with eager fp32 in
    batches of that size. The first batch goes the way that is timed.

    Args:
        models: Loads and evaluates.
        cell: With a batch size.

    Raises:
        BackendError: If a batch of that size gives logits of another shape.
    """
    task = models.task(cell)
    whole, reference = models.evaluate(cell), models.evaluate(cell.on_reference_backend)
    compared = [(whole, reference)]
    few, few_reference, chosen = _evaluate_both(models, cell, FEW_IMAGES)
    if not (
        task.alike(few, task.take(whole, chosen), MAX_DIFFERENCE)
        and task.alike(few_reference, task.take(reference, chosen), MAX_REFERENCE_DIFFERENCE)
    ):
        many, many_reference, chosen = _evaluate_both(models, cell, MANY_IMAGES)
        compared += [(many, many_reference), (many, task.take(reference, chosen))]
    differences = [task.difference(a, b) for a, b in compared]
    known = [difference for difference in differences if difference is not None]
    shares = [share for a, b in compared if (share := task.agreement(a, b)) is not None]
    return {
        **({"agreement": min(shares)} if shares else {}),
        **({"logit_difference": max(known)} if len(known) == len(differences) else {}),
    }


def _evaluate_both(models: ModelCache, cell: Cell, n: int) -> tuple[Evaluation, Evaluation, Tensor]:
    """Evaluate some test examples in batches of the cell's size, on its backend and on eager.

    Returns:
        Both evaluations, and the indices of their examples, (N,) int64, N a multiple of the batch size.
    """
    reference, chosen = _evaluate(models, cell.on_reference_backend, n)
    return _evaluate(models, cell, n)[0], reference, chosen


def _evaluate(models: ModelCache, cell: Cell, n: int) -> tuple[Evaluation, Tensor]:
    assert cell.batch_size is not None
    key = (models.checkpoint(cell.variant).key, cell.backend, cell.precision, cell.device, cell.batch_size)
    found = models.in_batches.get((*key, n))
    if found is None:
        executable = models.get(cell).executable
        set_torch_threads(models.threads_of(cell))
        try:
            with models.budget.timed():
                found = models.task(cell).evaluate_some(_bound_first(executable), n, cell.batch_size)
        except ModelError as error:
            raise BackendError(
                f"{cell.backend} {cell.precision} in batches of {cell.batch_size}: {error}"
            ) from error
        models.in_batches[(*key, n)] = found
    return found


def _bound_first(executable: Executable) -> Callable[[Inputs], Outputs]:
    """Return a function that runs its first batch as a timed call does, and the others by `predict`."""
    first = True

    def predict(inputs: Inputs) -> Outputs:
        nonlocal first
        if first:
            first = False
            return to_type(executable.bind(inputs)(), torch.device("cpu"), torch.float32)
        return executable.predict(inputs)

    return predict

"""The losses that data-driven methods rank channels by: of one training example at a time, not augmented.

A network takes its paths of training, such as auxiliary heads, where its loss is the same twice and no
statistic moves; else it is in evaluation mode. A task of a user's own makes its batches itself: then each
loss is of one of these.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruning_core.config.spec import MethodSpec, TrainSpec
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import run
from pruning_core.models.inspect import take_training_paths
from pruning_core.pruning.base import Losses
from pruning_core.tasks.base import Task, TrainingBatches
from pruning_core.tasks.classification import ClassificationBatches
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

T = TypeVar("T")

ONE_AT_A_TIME = TrainSpec(
    epochs=1, batch_size=1, augment=False, label_smoothing=0.0, precision="fp32", device="cpu"
)

SAME_TO = 1e-4
"""Relative difference of two losses that are the same: what a dropout changes is far larger."""


def ranking_losses(task: Task, spec: MethodSpec, seed: int) -> Losses | None:
    """Return the losses of a task's training examples, as many as a method asks for; None if for none.

    Args:
        task: Its examples are drawn by the seed alone, the same for every method.
        spec: Of the method.
        seed: Of the fine-tuning.
    """
    if spec.score_examples == 0:
        return None

    def losses(network: nn.Module, drawn_labels: bool) -> Iterator[Tensor]:
        batches = task.training_batches(
            network, ONE_AT_A_TIME.model_copy(update={"seed": seed}), torch.device("cpu")
        )
        labels = torch.Generator().manual_seed(seed)
        examples = 0
        try:
            for drawn in batches.draw(0):
                batch = batches.make(drawn)
                if not examples:
                    _take_paths(network, batches, batch)
                examples += batches.size(drawn)
                output = _theirs(spec.name, run, network, batch[0])
                if drawn_labels:
                    if not isinstance(batches, ClassificationBatches):
                        raise PruningError(
                            f"{spec.name} draws labels from predictions, which only a classification has; "
                            "of the data-driven methods taylor, hessian and activation draw none"
                        )
                    logits = batches.logits(output, batch)
                    label = torch.multinomial(logits.detach().softmax(1), 1, generator=labels).squeeze(1)
                    yield functional.cross_entropy(logits, label)
                else:
                    yield _theirs(spec.name, batches.loss, output, batch)
                if examples >= spec.score_examples:
                    return
        finally:
            network.eval()

    return losses


def _take_paths(network: nn.Module, batches: TrainingBatches, batch: tuple[Any, ...]) -> None:
    """Let a network take its paths of training if nothing in them is by chance, or learns."""
    tried = copy_network(network)
    take_training_paths(tried)
    before = {name: buffer.clone() for name, buffer in tried.named_buffers()}
    try:
        with torch.no_grad():
            first, second = (batches.loss(run(tried, batch[0]), batch) for _ in range(2))
        same = torch.allclose(first, second, rtol=SAME_TO, atol=0.0)
        same = same and all(buffer.equal(before[name]) for name, buffer in tried.named_buffers())
    except BaseException as error:
        raise_if_not_theirs(error)  # a norm of theirs that wants more than one example, say
        same = False
    if same:
        take_training_paths(network)
    else:
        network.eval()


def _theirs(name: str, function: Callable[..., T], *arguments: object) -> T:
    """Call what runs a user's code.

    Raises:
        PruningError: If that fails.
    """
    try:
        return function(*arguments)
    except BaseException as error:
        raise_if_not_theirs(error)
        raise PruningError(f"{name}: no loss of one training example: {one_line(error)}") from error

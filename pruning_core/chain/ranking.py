"""The losses that data-driven methods rank channels by: of one training example at a time, not augmented.

A task of a user's own makes its batches itself: then each loss is of one of these.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruning_core.config.spec import MethodSpec, TrainSpec
from pruning_core.errors import PruningError
from pruning_core.models.inputs import run
from pruning_core.pruning.base import Losses
from pruning_core.tasks.base import Task
from pruning_core.tasks.classification import ClassificationBatches

ONE_AT_A_TIME = TrainSpec(
    epochs=1, batch_size=1, augment=False, label_smoothing=0.0, precision="fp32", device="cpu"
)

FIXED_IN_TRAINING = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
"""What would answer by chance, or by the one example of a batch."""


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
        network.train()
        for module in network.modules():
            if isinstance(module, FIXED_IN_TRAINING):
                module.eval()
        try:
            examples = 0
            for drawn in batches.draw(0):
                examples += batches.size(drawn)
                batch = batches.make(drawn)
                output = run(network, batch[0])
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
                    yield batches.loss(output, batch)
                if examples >= spec.score_examples:
                    return
        finally:
            network.eval()

    return losses

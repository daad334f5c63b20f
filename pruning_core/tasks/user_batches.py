"""The training batches of a user's class, on a device, and their loss."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pruning_core.config.spec import TrainSpec
from pruning_core.models.inputs import Inputs, Outputs, count_rows, in_float, to_device
from pruning_core.tasks.base import TrainingBatches
from pruning_core.tasks.recording import check_like
from pruning_core.tasks.user_class import UserClass


class UserBatches(TrainingBatches):
    """The batches of a user's class, as they come."""

    def __init__(self, own: UserClass, example: Inputs, how: TrainSpec, device: torch.device) -> None:
        """Hold the class."""
        self._own, self._example, self._how, self._device = own, example, how, device
        self._steps = 0

    def steps(self) -> int:
        """Return how many batches the first epoch has; the learning rate follows its schedule by these."""
        self._steps = self._steps or self._own.count_batches(self._how.seed)
        return self._steps

    def draw(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Walk over the batches of an epoch.

        Raises:
            TaskError: If it has none.
        """
        batch = None
        for batch in self._own.batches(epoch, self._how.seed):
            yield batch
        if batch is None:
            raise self._own.refusal(
                f"training_batches(epoch={epoch}, seed={self._how.seed}) gives no batch: give each of the "
                f"{self._how.epochs} epochs its batches"
            )

    def size(self, drawn: tuple[Any, ...]) -> int:
        """Return how many examples a batch has."""
        return count_rows(drawn[0])

    def make(self, drawn: tuple[Any, ...]) -> tuple[Any, ...]:
        """Move a batch to the device."""
        check_like(drawn[0], self._example, f"task {self._own.name}: training_batches() must give")
        moved: tuple[Any, ...] = to_device(drawn, self._device)
        return moved

    def loss(self, output: Outputs, batch: tuple[Any, ...]) -> Tensor:
        """Return the user's loss, of outputs in float32."""
        return self._own.loss(in_float(output), batch)

    def distillation_loss(
        self, output: Outputs, batch: tuple[Any, ...], taught: Outputs, temperature: float
    ) -> Tensor:
        """Refuse (see `UserTask.check_training`)."""
        raise self._own.refusal("distill_weight must be 0: only a classification's logits are distilled")

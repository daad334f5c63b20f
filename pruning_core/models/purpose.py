"""What a network is built for: to give logits for images, or what a task of the user's own asks."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from pruning_core.errors import ModelError
from pruning_core.models.inputs import Inputs, explain, repeat_rows, run, tensors_of
from pruning_core.models.inspect import check_output, run_lazy_layers
from pruning_core.user_code.functions import one_line, raise_if_not_theirs


class Purpose(Protocol):
    """What a network is built for: how the function that builds it is called, and what it must do then."""

    @property
    def arguments(self) -> tuple[int, ...]:
        """What a user's function gets."""
        ...

    def check(self, network: nn.Module, name: str) -> None:
        """Run the network; what is lazy in it gets its weights.

        Raises:
            ModelError: If it does not do what it must.
        """
        ...


@dataclass(frozen=True)
class Logits:
    """A network gives logits of so many classes for images."""

    classes: int
    image: tuple[int, int, int]  # channels, height, width

    @property
    def arguments(self) -> tuple[int, int]:
        """Classes and channels."""
        return self.classes, self.image[0]

    def check(self, network: nn.Module, name: str) -> None:
        """Check what it returns (see `check_output`)."""
        check_output(network, name, self.classes, self.image)


def check_rows(network: nn.Module, name: str, example: Inputs) -> None:
    """Run two examples through the network, and one; what is lazy in it gets its weights.

    Raises:
        ModelError: If it cannot take them, or returns no tensors, or tensors without a row for each.
    """
    was_training = network.training
    network.eval()
    try:
        for n in (2, 1):
            _check_tensors(network, name, repeat_rows(example, n), n)
        run_lazy_layers(network, name, repeat_rows(example, 2))
    finally:
        network.train(was_training)


def _check_tensors(network: nn.Module, name: str, inputs: Inputs, n: int) -> None:
    try:
        with torch.no_grad():
            output = run(network, inputs)
    except BaseException as error:
        raise_if_not_theirs(error)
        alone = ", one example alone" if n == 1 else ""
        raise ModelError(
            f"model {name} cannot take the task's example_inputs() ({explain(inputs)}{alone}): "
            f"{one_line(error)}"
        ) from error
    tensors = tensors_of(output)
    if not any(tensor.is_floating_point() for tensor in tensors):
        raise ModelError(
            f"model {name} must return a tensor of numbers, or several in a tuple, list or dict; "
            f"got {explain(output)}"
        )
    if any(tensor.dim() == 0 or len(tensor) != n for tensor in tensors):
        raise ModelError(
            f"model {name}: each tensor that it returns must have the examples in its first dimension; "
            f"for {'one example' if n == 1 else f'{n} examples'} it returned {explain(output)}"
        )

"""What an exported model calls its inputs and outputs, and how several are put together again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, Outputs, map_tensors, repeat_rows, run, tensors_of

INPUT, OUTPUT = "images", "logits"


@dataclass(frozen=True)
class OnnxNames:
    """Names of the tensors of a model, in the order of `tensors_of`, and the structure of what it gives."""

    inputs: tuple[str, ...] = (INPUT,)
    outputs: tuple[str, ...] = (OUTPUT,)
    gives: Outputs = None  # outputs whose tensors are to be replaced; None: one tensor

    @property
    def plain(self) -> bool:
        """Whether the model takes one tensor and gives one."""
        return self.gives is None

    def feeds(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return name → tensor, contiguous."""
        return {
            name: tensor.contiguous() for name, tensor in zip(self.inputs, tensors_of(inputs), strict=True)
        }

    def restore(self, outputs: Sequence[Tensor]) -> Outputs:
        """Put tensors together as the model gives them."""
        if self.gives is None:
            return outputs[0]
        given = iter(outputs)
        return map_tensors(lambda _: next(given), self.gives)


ONE_TENSOR = OnnxNames()
"""Of a model that takes images and gives logits."""


def onnx_names(model: nn.Module, example: Inputs) -> OnnxNames:
    """Return the names that `export_onnx` gives.

    Args:
        model: A float32 network on the CPU; it stays as it is.
        example: What it takes, of one example or several.
    """
    with torch.inference_mode():
        outputs = run(copy_network(model).eval(), repeat_rows(example, 2))
    if isinstance(example, Tensor) and isinstance(outputs, Tensor):
        return ONE_TENSOR
    return OnnxNames(_named("input", example), _named("output", outputs), outputs)


def _named(kind: str, value: Inputs) -> tuple[str, ...]:
    """Return `input_left` for the entry of a dict, `input_0` for what has no name."""
    flat = isinstance(value, Mapping) and all(isinstance(item, Tensor) for item in value.values())
    # Of a dict the tensors come in the order in which torch flattens it.
    known = {id(tensor): str(key) for key, tensor in value.items()} if flat else {}
    return tuple(f"{kind}_{known.get(id(tensor), number)}" for number, tensor in enumerate(tensors_of(value)))

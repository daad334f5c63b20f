"""What a network takes and gives: one tensor, or several in a tuple, list or dict; examples come first.

A tuple or list is passed as positional arguments, a dict as keyword arguments. Each tensor has the examples
in its first dimension, all of them as many: its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

Inputs = Any
"""A tensor, or a tuple, list or dict of tensors, nested if need be: what a network takes."""

Outputs = Any
"""Likewise: what it gives."""


def run(network: Callable[..., Any], inputs: Inputs) -> Outputs:
    """Call a network, or a function that stands for one, on its inputs."""
    if isinstance(inputs, Tensor):
        return network(inputs)
    if isinstance(inputs, Mapping):
        return network(**inputs)
    return network(*inputs)


def tensors_of(value: Any) -> list[Tensor]:
    """Return the tensors in inputs or outputs, in a fixed order; what else is in them is left out."""
    if isinstance(value, Tensor):
        return [value]
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


def map_tensors(change: Callable[[Tensor], Any], value: Any) -> Any:
    """Return inputs or outputs of the same structure, each tensor changed; what else is in them stays."""
    if isinstance(value, Tensor):
        return change(value)
    return tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, value)


def count_rows(value: Any) -> int:
    """Return how many examples inputs or outputs hold: the first dimension of their first tensor."""
    tensors = tensors_of(value)
    return len(tensors[0]) if tensors and tensors[0].dim() else 0


def take_rows(value: Any, chosen: slice | Tensor) -> Any:
    """Return some examples of inputs or outputs."""
    return map_tensors(lambda tensor: tensor[chosen], value)


def repeat_rows(value: Any, n: int) -> Any:
    """Return inputs of `n` examples: the given ones, again and again."""
    rows = count_rows(value)
    return value if rows == n else take_rows(value, torch.arange(n) % rows)


def join_rows(values: Sequence[Any]) -> Any:
    """Put inputs, or outputs, of one structure together, one after another.

    Raises:
        ValueError: If they differ in structure.
        RuntimeError: If their examples differ in shape.
    """
    structures = {str(tree_flatten(value)[1]) for value in values}
    if len(structures) > 1:
        raise ValueError(f"they are of {len(structures)} structures")
    columns = zip(*(tensors_of(value) for value in values), strict=True)
    joined = iter([torch.cat(column) for column in columns])
    return map_tensors(lambda _: next(joined), values[0])


def random_like(inputs: Inputs, n: int, generator: torch.Generator, *, light: bool = False) -> Inputs:
    """Draw inputs of `n` examples that a network can take where it takes the given ones.

    Numbers that are all alike, such as zeros, say nothing of what is allowed: then they are drawn from the
    normal distribution. Else they have mean and deviation of the given ones and stay within their range;
    whole numbers and truth values are drawn from among the given ones.

    Args:
        inputs: Of any number of examples.
        n: How many to draw.
        generator: Of the CPU.
        light: Each example is lighter or darker as a whole, too, channel by channel.
    """

    def draw(given: Tensor) -> Tensor:
        shape = (n, *given.shape[1:])
        if not given.is_floating_point():
            flat = given.reshape(-1)
            return flat[torch.randint(0, len(flat), shape, generator=generator)]
        shift: Tensor | float = 0.0
        if light and given.dim() > 1:
            shift = torch.randn(n, given.shape[1], *(1,) * (given.dim() - 2), generator=generator)
        drawn = torch.randn(shape, generator=generator)
        if light:
            drawn = drawn + shift
        low, high = given.min(), given.max()
        if low < high:
            drawn = (given.float().mean() + given.float().std() * drawn).clamp(low.float(), high.float())
        return drawn.to(given.dtype)

    return map_tensors(draw, inputs)


def lay_out_rows(inputs: Inputs, memory_format: torch.memory_format) -> Inputs:
    """Lay inputs out in memory: tensors of rank 4, as only they can be in `channels_last`."""
    return map_tensors(
        lambda t: t.contiguous(memory_format=memory_format) if t.dim() == 4 else t.contiguous(), inputs
    )


def in_float(outputs: Outputs) -> Outputs:
    """Return outputs whose numbers are float32; whole numbers stay what they are."""
    return map_tensors(lambda t: t.float() if t.is_floating_point() else t, outputs)


def max_channels(inputs: Inputs) -> int:
    """Return the channels of the widest of the inputs that has maps or sequences; 0 where none has."""
    return max((t.shape[1] for t in tensors_of(inputs) if t.dim() > 2), default=0)


def to_device(value: Any, device: torch.device | str) -> Any:
    """Move all tensors, in inputs or a batch, to a device."""
    return map_tensors(lambda tensor: tensor.to(device), value)


def explain(value: Any) -> str:
    """Say in a few words what a network gave, or gets: shapes in tuples and dicts."""
    if isinstance(value, Tensor):
        return "×".join(map(str, value.shape)) or "a number"
    if isinstance(value, Mapping):
        items = ", ".join(f"{key} {explain(item)}" for key, item in value.items())
        return f"{type(value).__name__} of {items or 'nothing'}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {', '.join(map(explain, value)) or 'nothing'}"
    return type(value).__name__


class Plain(nn.Module):
    """A network of several inputs or outputs as one of tensors alone: for those that take nothing else."""

    def __init__(self, network: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.network = network
        self._inputs = inputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return all tensors that the network gives, in the order of `tensors_of`."""
        given = iter(tensors)
        return tuple(tensors_of(run(self.network, map_tensors(lambda _: next(given), self._inputs))))

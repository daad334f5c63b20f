"""Cut groups of channels out of a network with torch-pruning, and say of each tensor what was kept.

While torch-pruning cuts, each tensor holds the numbers of its own elements. So what it kept is read off the
result, whatever it says, and the weights are taken from the network as it was.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.models.inputs import Inputs, repeat_rows
from pruning_core.pruning.attention import follow_widths
from pruning_core.pruning.base import Kept
from pruning_core.pruning.graph import build_graph, group_of, merged_group, run_training_paths, width_of
from pruning_core.pruning.tensors import all_tensors

NUMBERS = ("dim", "width", "channels", "features", "planes")
"""What a module calls a width that it keeps as a number."""


EXACT_IN_FLOAT32 = 2**24
"""Up to this float32 knows each integer."""


CHECKED_AT_ONCE = 2**20
"""Elements: several copies of a large tensor may not fit into memory."""


class EmptiedError(ValueError):
    """A layer would lose every channel."""


@dataclass(frozen=True)
class Cut:
    """Channels of one group that go: outputs of its roots, and of whatever must lose the same."""

    roots: tuple[str, ...]
    channels: tuple[int, ...]
    ignored: frozenset[object] = frozenset()  # dependencies that are none (`groups.misplaced`)


def cut_channels(network: nn.Module, source: nn.Module, example: Inputs, cuts: Sequence[Cut]) -> Kept:
    """Cut a network, in place.

    Args:
        network: All its parameters require gradients. Half cut, if this fails.
        source: What it is a copy of; its tensors are read.
        example: What the network takes, of one example.
        cuts: What goes, each of another group.

    Returns:
        What was kept of each tensor that was cut.

    Raises:
        Exception: Whatever torch-pruning raises.
        ValueError: If a tensor was cut otherwise than along its dimensions, or one that layers share was cut
            differently in each.
    """
    graph = build_graph(network, example)
    modules = dict(network.named_modules())
    owners = _put_numbers(network)
    contents = {name: tensor.detach() for name, tensor in all_tensors(source).items()}
    roots = [(modules[name], cut) for cut in cuts for name in cut.roots]
    left = [width_of(root) - len(cut.channels) for root, cut in roots]
    groups = [group_of(graph, root, list(cut.channels), cut.ignored) for root, cut in roots]
    merged_group(graph, groups).prune(record_history=False)
    for (root, _), width in zip(roots, left, strict=True):
        if width_of(root) != width:
            raise ValueError(f"torch-pruning leaves {width_of(root)} channels, and should leave {width}")
    kept: dict[str, tuple[Tensor, ...]] = {}
    names_of: dict[int, str] = {}
    for name, tensor in all_tensors(network).items():
        first = names_of.setdefault(id(tensor), name)
        if first != name:  # a module that has two names
            if first in kept:
                kept[name] = kept[first]
            continue
        content = contents[name]
        indices = _indices_of(name, tensor.detach(), content.shape)
        if tensor.shape != content.shape:
            kept[name] = indices
        for dimension, index in enumerate(indices):
            content = content.index_select(dimension, index)
        tensor.data = content if indices else content.clone()
        tensor.grad = None
    _check_shared(network, owners, kept)
    follow_widths(network, contents)
    if graph.in_training:  # no proof runs these layers
        with torch.no_grad():
            run_training_paths(network, repeat_rows(example, 2))
    return kept


def _put_numbers(network: nn.Module) -> list[list[str]]:
    """Number the elements of each tensor, in place; return the names of each tensor."""
    names: dict[int, list[str]] = {}
    for name, tensor in all_tensors(network).items():
        if id(tensor) not in names and tensor.dim():
            numbers = torch.float32 if tensor.numel() <= EXACT_IN_FLOAT32 else torch.float64
            tensor.data = torch.arange(tensor.numel(), dtype=numbers).reshape(tensor.shape)
        names.setdefault(id(tensor), []).append(name)
    return list(names.values())


def _indices_of(name: str, numbers: Tensor, shape: torch.Size) -> tuple[Tensor, ...]:
    """Return what a tensor kept along each dimension, from the numbers of the elements that it holds."""
    if not shape:
        return ()
    if numbers.dim() == len(shape) and not numbers.numel():
        raise EmptiedError(f"{name} would be left with nothing")
    if numbers.dim() != len(shape):
        raise ValueError(f"{name}: of shape {tuple(shape)} torch-pruning leaves {tuple(numbers.shape)}")
    found, expected = [], torch.zeros((), dtype=torch.int64)
    for dimension, size in reversed(list(enumerate(shape))):
        stride = math.prod(shape[dimension + 1 :])
        line = numbers[(0,) * dimension + (slice(None),) + (0,) * (numbers.dim() - dimension - 1)]
        indices = line.to(torch.int64) // stride % size
        # torch-pruning leaves the weights of a layer norm in another order than its channels.
        found.append(indices.sort().values)
        first = (indices * stride).reshape(-1, *(1,) * expected.dim())
        if dimension:
            expected = expected + first
    rows = max(CHECKED_AT_ONCE // expected.numel(), 1)
    for start in range(0, len(numbers), rows):
        part = slice(start, start + rows)
        if not torch.equal(numbers[part].to(torch.int64), first[part] + expected):
            raise ValueError(f"{name}: torch-pruning does not cut along its dimensions")
    return tuple(reversed(found))


def _check_shared(network: nn.Module, owners: Sequence[list[str]], kept: Kept) -> None:
    """Refuse a cut that takes the layers of a shared weight apart."""
    after = all_tensors(network)
    for names in owners:
        first, *others = names
        for other in others:
            alike = (first in kept) == (other in kept) and all(
                torch.equal(a, b) for a, b in zip(kept.get(first, ()), kept.get(other, ()), strict=True)
            )
            if not alike:
                raise ValueError(f"{first} and {other} are one tensor, and would be cut differently")
            if after[first] is not after[other]:
                _tie(network, other, after[first])


def _tie(network: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, local = name.rpartition(".")
    setattr(network.get_submodule(owner), local, tensor)


def follow_numbers(network: nn.Module, before: nn.Module) -> None:
    """Let widths that modules keep as numbers follow what was cut, where only one can be meant.

    Args:
        network: Cut.
        before: The network that it was cut from.
    """
    widths: dict[int, set[int]] = {}
    layers = dict(before.named_modules())
    for name, layer in network.named_modules():
        for attribute in ("out_features", "out_channels", "in_features", "in_channels"):
            old, new = getattr(layers[name], attribute, None), getattr(layer, attribute, None)
            if type(old) is int and type(new) is int:
                widths.setdefault(old, set()).add(new)
    for module in network.modules():
        if type(module).__module__.startswith("torch.nn."):
            continue
        for attribute, value in list(vars(module).items()):
            news = {new for new in widths.get(value, ()) if new != value} if type(value) is int else set()
            if len(news) == 1 and any(part in attribute for part in NUMBERS):
                setattr(module, attribute, news.pop())

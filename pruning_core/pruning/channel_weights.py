"""Which weights belong to each channel that can be cut: of the layers that make it, scale it and read it.

They are those that `magnitude` ranks a channel by; a penalty pushes them (`penalty.py`). The groups are those
that are cut later: found, tried and proved alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.models.inputs import Inputs
from pruning_core.pruning.groups import Importance
from pruning_core.pruning.ranked import rank_network
from pruning_core.pruning.widths import Orbits
from pruning_core.torchvision_compat import torch_pruning as tp


@dataclass(frozen=True, eq=False)
class ChannelWeights:
    """One dimension of one weight, and which channel each position along it belongs to."""

    name: str  # of the parameter
    dimension: int
    positions: Tensor  # (m,) int64, along the dimension
    channels: Tensor  # (m,) int64, of the group
    is_scale: bool  # of a batch norm


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can go, and the weights that belong to them."""

    root: str
    channels: int
    orbits: Orbits  # channels that can only go together
    weights: tuple[ChannelWeights, ...]


@dataclass(frozen=True, eq=False)
class _Found:
    """The same while names are not known yet."""

    weight: nn.Parameter
    dimension: int
    positions: Tensor
    channels: Tensor
    is_scale: bool


def find_channel_groups(
    dense: nn.Module, method: MethodSpec, example: Inputs, importance: Importance
) -> tuple[ChannelGroup, ...]:
    """Find the groups of a dense network that a method can cut, with the weights of their channels.

    Args:
        dense: Without computed weights (`plain.py`), on the CPU; it stays as it is.
        method: Says what is protected and rounded to.
        example: What the network takes, of one example.
        importance: What the method ranks channels by: a group without a score is not cut.

    Raises:
        PruningError: If nothing in the network can be cut.
        OptionError: If a pattern of layers matches none.
    """
    found: dict[nn.Module, list[_Found]] = {}

    def noted(group: "tp.Group") -> Tensor | None:
        scores = importance(group)
        found[group[0].dep.target.module] = _weights_of(group)
        return scores

    ranked = rank_network(dense, method, example, noted)
    layers = dict(ranked.network.named_modules())
    names = {parameter: name for name, parameter in ranked.network.named_parameters()}
    groups = []
    for group in ranked.groups:
        weights: dict[tuple[str, int], ChannelWeights] = {}  # layers that share a weight have it once
        for each in (each for root in group.roots for each in found[layers[root]]):
            name = names[each.weight]
            weights.setdefault(
                (name, each.dimension),
                ChannelWeights(name, each.dimension, each.positions, each.channels, each.is_scale),
            )
        orbits = tuple(tuple(orbit) for orbit in group.orbits)
        groups.append(ChannelGroup(group.roots[0], group.channels, orbits, tuple(weights.values())))
    return tuple(groups)


def _weights_of(group: "tp.Group") -> list[_Found]:
    found = []
    for number, (dependency, indices) in enumerate(group):
        layer, dimension = dependency.target.module, _dimension_of(dependency)
        weight = getattr(layer, "weight", None)
        channels: Sequence[int | None] = group[number].root_idxs
        if dimension is None or not isinstance(weight, nn.Parameter) or None in channels:
            continue
        # Of a grouped convolution the inputs of all its groups lie in the same columns.
        positions = torch.tensor(indices) % weight.shape[dimension]
        is_scale = isinstance(layer, nn.modules.batchnorm._BatchNorm)
        found.append(_Found(weight, dimension, positions, torch.tensor(channels), is_scale))
    return found


def _dimension_of(dependency: "tp.Dependency") -> int | None:
    """Return which dimension of a layer's weight a dependency cuts; None where magnitude reads no weight."""
    cut, transposed = dependency.pruning_fn, getattr(dependency.target.module, "transposed", False)
    if cut in (tp.prune_conv_out_channels, tp.prune_linear_out_channels):
        return 1 if transposed else 0
    if cut in (tp.prune_conv_in_channels, tp.prune_linear_in_channels):
        return 0 if transposed else 1
    if cut in (tp.prune_batchnorm_out_channels, tp.prune_layernorm_out_channels):
        return 0
    return None

"""torch-pruning's graph of a network: which layers depend on which, and how wide they are."""

import warnings
from collections.abc import Collection

from torch import Tensor, nn

from pruning_core.torchvision_compat import torch_pruning as tp

ROOT_TYPES = (nn.modules.conv._ConvNd, nn.Linear)
"""Layers whose outputs are ranked."""


def build_graph(network: nn.Module, example: Tensor) -> "tp.DependencyGraph":
    """Trace a network.

    Args:
        network: All its parameters require gradients: torch-pruning follows autograd.
        example: (1, C, H, W).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning names parameters that no layer of its list owns
        return tp.DependencyGraph().build_dependency(
            network, example_inputs=example, unwrapped_parameters=_own_parameters(network), verbose=False
        )


def group_of(
    graph: "tp.DependencyGraph", layer: nn.Module, channels: list[int], ignored: Collection[object] = ()
) -> "tp.Group":
    """Return torch-pruning's group of some outputs of a layer.

    Args:
        graph: Of the network.
        layer: Convolution or linear layer.
        channels: Its outputs.
        ignored: Dependencies to leave out, as `misplaced` returns them.
    """
    group = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, channels)
    if ignored:
        group.items[:] = [item for item in group.items if identity_of(graph, item.dep) not in ignored]
    return group


def misplaced(graph: "tp.DependencyGraph", group: "tp.Group") -> frozenset[object]:
    """Return the dependencies of a group that name channels which a layer does not have.

    torch-pruning takes a mean over the channels, or a map of one channel, for something that has them all.
    """
    found = set()
    for dependency, indices in group:
        out = graph.is_out_channel_pruning_fn(dependency.handler)
        width = (graph.get_out_channels if out else graph.get_in_channels)(dependency.target)
        if width is not None and max(indices, default=0) >= width:
            found.add(identity_of(graph, dependency))
    return frozenset(found)


def identity_of(graph: "tp.DependencyGraph", dependency: object) -> tuple[str, bool]:
    """Return what a dependency is in each graph of a network: its target, and whether outputs are cut."""
    node = dependency.target  # type: ignore[attr-defined]
    return str(node._name), graph.is_out_channel_pruning_fn(dependency.handler)  # type: ignore[attr-defined]


def width_of(layer: nn.Module) -> int:
    """Return the outputs of a convolution or linear layer."""
    width: int = layer.out_channels if isinstance(layer, nn.modules.conv._ConvNd) else layer.out_features  # type: ignore[assignment]
    return width


def _own_parameters(network: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Return parameters that maps are added to or scaled by, each with its dimension of channels."""
    layers = (*ROOT_TYPES, nn.MultiheadAttention)
    return [
        (parameter, 1)
        for module in network.modules()
        if not isinstance(module, layers)
        for parameter in module.parameters(recurse=False)
        if parameter.dim() == 4 and parameter.shape[0] == 1 and parameter.shape[1] > 1
    ]

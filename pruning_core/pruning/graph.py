"""torch-pruning's graph of a network: which layers depend on which, and how wide they are."""

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn

from pruning_core.models.inputs import Inputs, Outputs, run, tensors_of
from pruning_core.models.inspect import take_training_paths
from pruning_core.pruning.attention import layers_per_head, parameters_per_head
from pruning_core.pruning.index_mappings import update_index_mappings
from pruning_core.pruning.module_calls import module_calls
from pruning_core.torchvision_compat import torch_pruning as tp

ROOT_TYPES = (nn.modules.conv._ConvNd, nn.Linear)
"""Layers whose outputs are ranked."""

_HybridIndex = tp._helpers._HybridIndex
_Indices = dict[int, Any]  # index → torch-pruning's pair of it and the root's


def build_graph(network: nn.Module, example: Inputs) -> "tp.DependencyGraph":
    """Trace a network; one that has more layers in training, such as auxiliary heads, as in training.

    Args:
        network: All its parameters require gradients: torch-pruning follows autograd.
        example: What the network takes, of one example.
    """
    graph = _trace(network, example, run)
    seen = _layers_in(graph)
    graph.in_training = frozenset()
    if any(isinstance(layer, ROOT_TYPES) and layer not in seen for layer in network.modules()):
        try:
            again = _trace(network, example, run_training_paths)
        except Exception:  # it does not run in training, or returns something else
            return graph
        more = _layers_in(again)
        if more > seen:
            again.in_training = frozenset(more - seen)
            return again
    return graph


def run_training_paths(network: nn.Module, inputs: Inputs) -> Outputs:
    """Return what a network gives in training; it is left in evaluation mode.

    Args:
        network: Any.
        inputs: What it takes.
    """
    take_training_paths(network)
    try:
        return run(network, inputs)
    finally:
        network.eval()


def _layers_in(graph: "tp.DependencyGraph") -> set[nn.Module]:
    return {layer for layer in graph.module2node if isinstance(layer, ROOT_TYPES)}


def _trace(
    network: nn.Module, example: Inputs, run_it: Callable[[nn.Module, Inputs], Outputs]
) -> "tp.DependencyGraph":
    graph = tp.DependencyGraph()
    layers = (network.get_submodule(name) for name in layers_per_head(network))
    graph.per_head = {*layers, *parameters_per_head(network)}
    mappings = patch.object(tp.dependency.index_mapping, "update_index_mapping", update_index_mappings)
    with warnings.catch_warnings(), module_calls(network), mappings:
        warnings.simplefilter("ignore")  # torch-pruning names parameters that no layer of its list owns
        graph.build_dependency(
            network,
            example_inputs=example,
            # Of one tensor torch-pruning runs the network by itself, without the batch if it can.
            forward_fn=None if isinstance(example, Tensor) and run_it is run else run_it,
            output_transform=_followed,
            unwrapped_parameters=_own_parameters(network),
            verbose=False,
        )
    graph.only_per_head = _only_per_head(graph)
    graph.widths = {
        node: (graph.get_in_channels(node), graph.get_out_channels(node))
        for node in graph.module2node.values()
    }
    return graph


def _only_per_head(graph: "tp.DependencyGraph") -> set[object]:
    """Return what holds a number for each head: layers and parameters, and what is made of these alone."""
    found = {node for node in graph.module2node.values() if node.module in graph.per_head}
    to_visit = list(found)
    while to_visit:
        for node in to_visit.pop().outputs:
            if (
                node not in found
                and found.issuperset(node.inputs)
                and not isinstance(node.module, ROOT_TYPES)
            ):
                found.add(node)
                to_visit.append(node)
    return found


def _followed(outputs: Outputs) -> list[Any]:
    """Return the outputs that autograd leads back from: torch-pruning takes a flat list."""
    return [tensor for tensor in tensors_of(outputs) if tensor.grad_fn is not None]


def group_of(
    graph: "tp.DependencyGraph", layer: nn.Module, channels: list[int], ignored: Collection[object] = ()
) -> "tp.Group":
    """Return torch-pruning's group of some outputs of a layer.

    Args:
        graph: Of the network.
        layer: Convolution or linear layer.
        channels: Its outputs, as they are numbered now: nothing was cut since the network was traced.
        ignored: Dependencies to leave out, as `misplaced` returns them.
    """
    cut = graph.get_pruner_of_module(layer).prune_out_channels
    if isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.out_channels > 1:
        cut = tp.prune_depthwise_conv_out_channels
    node = graph.module2node[layer]
    group = tp.Group()
    group.add_dep(tp.Dependency(cut, cut, source=node, target=node), [])
    indices = _walk(graph, group, [_HybridIndex(idx=channel, root_idx=channel) for channel in channels])
    group._DG = graph
    group.items[:] = [item for item in group.items if identity_of(graph, item.dep) not in ignored]
    for number, item in enumerate(group.items):
        found = indices[item.dep.target, item.dep.handler].values()
        group[number] = type(item)(item.dep, [index.idx for index in found])
        group[number].root_idxs = [index.root_idx for index in found]
    return group


def merged_group(graph: "tp.DependencyGraph", groups: Sequence["tp.Group"]) -> "tp.Group":
    """Put groups together, each layer once, so that all can be cut at one time.

    Args:
        graph: Of the network; nothing was cut since it was traced, so all indices are of one numbering.
        groups: As `group_of` returns them; layers can be in several.
    """
    merged = tp.Group()
    merged._DG = graph
    found: dict[tuple[object, object], tuple[Any, set[int]]] = {}
    for item in (item for group in groups for item in group.items):
        found.setdefault((item.dep.target, item.dep.handler), (item.dep, set()))[1].update(item.idxs)
    for dependency, indices in found.values():
        merged.add_dep(dependency, sorted(indices))
    return merged


def _walk(
    graph: "tp.DependencyGraph", group: "tp.Group", channels: Sequence[Any]
) -> dict[tuple[object, object], _Indices]:
    """Fill a group that holds its root, and return for each dependency which indices it has.

    torch-pruning's own walk does not end where it meets the same indices in another order, or ever higher
    ones. Here an index that a layer has already is not followed again, nor one that none can have. What has
    a number for each head of an attention has none of its channels.
    """
    root = group[0].dep
    found: dict[tuple[object, object], _Indices] = {(root.target, root.handler): {i.idx: i for i in channels}}
    steps = [(root, list(channels))]
    widest = max(width or 0 for widths in graph.widths.values() for width in widths)
    while steps:
        dependency, indices = steps.pop()
        for then in dependency.target.dependencies:
            out = graph.is_out_channel_pruning_fn(then.handler)
            if not then.is_triggered_by(dependency.handler) or (out and then.target in graph.only_per_head):
                continue
            mapped = indices
            for mapping in then.index_mapping:
                mapped = mapping(mapped) if mapping is not None else mapped
            known = found.setdefault((then.target, then.handler), {})
            new = {index.idx: index for index in mapped if index.idx not in known and index.idx < widest}
            if not new:
                continue
            if not known:
                group.add_dep(then, [])
            known |= new
            width = _width(graph, then.target, out)
            if width is None or max(new) < width:
                steps.append((then, list(new.values())))
    return found


def misplaced(graph: "tp.DependencyGraph", group: "tp.Group") -> frozenset[object]:
    """Return the dependencies of a group that name channels which a layer does not have.

    torch-pruning takes a mean over the channels, or a map of one channel, for something that has them all.
    """
    found = set()
    for dependency, indices in group:
        width = _width(graph, dependency.target, graph.is_out_channel_pruning_fn(dependency.handler))
        if width is not None and max(indices, default=0) >= width:
            found.add(identity_of(graph, dependency))
    return frozenset(found)


def _width(graph: "tp.DependencyGraph", node: Any, out: bool) -> int | None:
    """Return the outputs or inputs of what a node stands for; None of an operation that takes any."""
    width: int | None = graph.widths[node][out]
    return width


def identity_of(graph: "tp.DependencyGraph", dependency: object) -> tuple[str, bool]:
    """Return what a dependency is in each graph of a network: its target, and whether outputs are cut."""
    node = dependency.target  # type: ignore[attr-defined]
    name = graph._param_to_name.get(node.module, node._name)
    return str(name), graph.is_out_channel_pruning_fn(dependency.handler)  # type: ignore[attr-defined]


def width_of(layer: nn.Module) -> int:
    """Return the outputs of a convolution or linear layer."""
    width: int = layer.out_channels if isinstance(layer, nn.modules.conv._ConvNd) else layer.out_features  # type: ignore[assignment]
    return width


def is_depthwise(layer: nn.Module) -> bool:
    """Tell whether a layer is a convolution that reads each channel alone."""
    return isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.in_channels > 1


def blocks_of(layer: nn.Module) -> int:
    """Return how many equal blocks a layer's channels are, which it needs to stay equal."""
    conv = nn.modules.conv._ConvNd
    if isinstance(layer, conv) and not layer.groups == layer.in_channels == layer.out_channels:
        return int(layer.groups)
    if isinstance(layer, nn.GroupNorm):
        return int(layer.num_groups)
    return int(layer.num_heads) if isinstance(layer, nn.MultiheadAttention) else 1


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

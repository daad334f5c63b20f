"""How the layers of a group are bound: groups of the same structure can be ranked together.

Two groups are alike if their graphs are: the same kinds of layers and operations, cut on the same side, bound
in the same way. Widths, sizes of kernels and what the layers are called do not matter, nor does the order in
which torch-pruning walks over them.

Source: Fang et al., "Isomorphic Pruning for Vision Models", ECCV 2024. That two graphs are alike is told by
colour refinement (Weisfeiler and Leman, 1968).
"""

from hashlib import blake2b

from pruning_core.torchvision_compat import torch_pruning as tp


def structure_of(graph: "tp.DependencyGraph", group: "tp.Group") -> str:
    """Return a hash of what is in a group, and of what is bound to what: equal for groups that are alike.

    Args:
        graph: Of the network.
        group: Of all outputs of a layer.
    """
    nodes = {(dependency.target, dependency.handler): None for dependency, _ in group}
    beside: dict[object, list[object]] = {node: [] for node in nodes}
    for target, handler in nodes:
        for then in target.dependencies:
            other = (then.target, then.handler)
            if then.is_triggered_by(handler) and other in nodes:
                beside[target, handler].append(other)
                beside[other].append((target, handler))
    colours = {
        node: f"{type(node[0].module).__qualname__}, {graph.is_out_channel_pruning_fn(node[1])}"
        for node in nodes
    }
    known = 0
    while len(set(colours.values())) > known:  # until no round tells more of them apart
        known = len(set(colours.values()))
        colours = {
            node: _hash(colours[node], *sorted(colours[other] for other in beside[node]))  # type: ignore[index]
            for node in nodes
        }
    return _hash(*sorted(colours.values()))


def _hash(*texts: str) -> str:
    return blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()

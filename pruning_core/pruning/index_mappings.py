"""How channels are numbered behind an operation that moves them: what torch-pruning knows of it, completed.

torch-pruning finds a mapping of indices for concatenations, splits, reshapes and slices. Two kinds it gets
wrong, and Swin is made of both: a slice of rows is taken for one of channels where channels come last, and
`qkv[0]` passes all channels on as if it were no split.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from pruning_core.torchvision_compat import torch_pruning as tp

_MAPPINGS = tp.dependency.index_mapping
_PARTS_DIMENSIONS = 5
"""Queries, keys and values as (3, images, heads, tokens, width)."""


def update_index_mappings(graph: "tp.DependencyGraph") -> None:
    """Set the mappings of all dependencies; where torch-pruning fails, indices stay as they are."""
    for node in graph.module2node.values():
        update = _UPDATES.get(node.type)
        if update is not None:
            with contextlib.suppress(ZeroDivisionError, IndexError, TypeError):
                update(graph, node)


def _update_slice(graph: "tp.DependencyGraph", node: Any) -> None:
    """Map a slice of channels; a slice of rows or columns moves none."""
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    dimension: int = getattr(node.grad_fn, "_saved_dim", len(sizes))
    channels = _channels_before(graph, node)
    if dimension < len(sizes) and sizes[dimension] != channels and channels in sizes:
        return
    _MAPPINGS.update_slice_index_mapping(graph, node)


def _update_select(graph: "tp.DependencyGraph", node: Any) -> None:
    """Map one of several parts that a tensor was folded into, such as the queries of `qkv[0]`."""
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    if len(sizes) != _PARTS_DIMENSIONS or getattr(node.grad_fn, "_saved_dim", None) != 0:
        return
    channels = _channels_before(graph, node)
    if channels is None or channels % sizes[0]:
        return
    size = channels // sizes[0]
    offset = [node.grad_fn._saved_index * size, (node.grad_fn._saved_index + 1) * size]
    for before in node.inputs:
        for holder, target, reverse in ((before, node, False), (node, before, True)):
            for dependency in holder.dependencies:
                if dependency.target is target:
                    dependency.index_mapping[0] = _MAPPINGS._SplitIndexMapping(offset=offset, reverse=reverse)


def _channels_before(graph: "tp.DependencyGraph", node: Any) -> int | None:
    """Return how many channels the layer before an operation gives."""
    for before in node.inputs:
        channels: int | None = tp.dependency.shape_infer.infer_out_channels_recursively(graph, before, [0])
        if channels is not None:
            return channels
    return None


_UPDATES: dict[int, Callable[["tp.DependencyGraph", Any], None]] = {
    tp.ops.OPTYPE.CONCAT: _MAPPINGS.update_concat_index_mapping,
    tp.ops.OPTYPE.SPLIT: _MAPPINGS.update_split_index_mapping,
    tp.ops.OPTYPE.RESHAPE: _MAPPINGS.update_reshape_index_mapping,
    tp.ops.OPTYPE.UNBIND: _MAPPINGS.update_unbind_index_mapping,
    tp.ops.OPTYPE.EXPAND: _MAPPINGS.update_expand_index_mapping,
    tp.ops.OPTYPE.SLICE: _update_slice,
    tp.ops.OPTYPE.ELEMENTWISE: _update_select,
}
"""Kind of operation → what sets its mappings."""

"""How channels are numbered behind an operation that moves them: what torch-pruning knows of it, completed.

torch-pruning finds a mapping of indices for concatenations, splits, reshapes and slices. Some it gets wrong,
and transformers are made of them: a slice of rows is taken for one of channels where channels come last,
`qkv[0]` passes all channels on as if it were no split, and behind a parameter of three dimensions, such as
positions, nothing is joined or split. Splits come here as slices (`module_calls.py`).
"""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pruning_core.torchvision_compat import torch_pruning as tp

_MAPPINGS = tp.dependency.index_mapping
_TWO_TO_64 = 2**64
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
    part = _part_of_channels(graph, node)
    if part is not None:
        kind, dimension = _MAPPINGS._SliceIndexMapping, node.module.dim
        for before in node.inputs:
            _set_mapping(before, node, kind(dimension, part.start, part.step, part.stop, reverse=False))
            _set_mapping(node, before, kind(dimension, part.start, part.step, part.stop, reverse=True))


def _part_of_channels(graph: "tp.DependencyGraph", node: Any) -> range | None:
    """Return the channels that a slice takes; None of one of rows or columns."""
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    given = _signed(node.module.dim)
    dimension, channels = given % len(sizes), _channels_before(graph, node)
    where = [at for at, size in enumerate(sizes) if size == channels and at > 0]
    if len(where) != 1:  # a square, say: as torch-pruning guesses
        where = [{3: 2, 4: 1}.get(len(sizes), dimension) if given >= 0 else dimension]
    if dimension != where[0]:
        return None
    start, end, _ = slice(_signed(node.module.start), _signed(node.module.end)).indices(sizes[dimension])
    return range(start, end, node.module.step)


def _signed(number: int) -> int:
    """Return a number that autograd keeps without its sign."""
    return number if number < _TWO_TO_64 // 2 else number - _TWO_TO_64


def _update_concat(graph: "tp.DependencyGraph", node: Any) -> None:
    """Map what is joined along the channels, wherever it comes from."""
    _MAPPINGS.update_concat_index_mapping(graph, node)
    sizes = node.module.concat_sizes
    if not node.enable_index_mapping and sizes and None not in sizes:
        node.enable_index_mapping = sum(sizes) == _channels_behind(graph, node)
        _MAPPINGS.update_concat_index_mapping(graph, node)


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
        _set_mapping(before, node, _MAPPINGS._SplitIndexMapping(offset=offset, reverse=False))
        _set_mapping(node, before, _MAPPINGS._SplitIndexMapping(offset=offset, reverse=True))


def _update_reshape(graph: "tp.DependencyGraph", node: Any) -> None:
    """Map channels through a reshape: to stretches, or, where they come last, to every so many positions."""
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    channels, wide = _channels_before(graph, node), _channels_behind(graph, node)
    if channels is not None and channels == wide:
        return
    last = len(sizes) > 3 and sizes[-1] == channels and sizes[1] != channels
    if channels is None or wide is None or not last or wide % channels:
        _MAPPINGS.update_reshape_index_mapping(graph, node)
        return
    for before in node.inputs:
        _set_mapping(before, node, _Tiles(channels, wide // channels))
        _set_mapping(node, before, _Folded(channels))


@dataclass(frozen=True)
class _Tiles:
    """Channel c of each of several positions → c, c + channels, c + 2 channels …"""

    channels: int
    positions: int

    def __call__(self, indices: Any) -> Any:
        """Map torch-pruning's pairs of an index and the root's."""
        return [
            type(index)(idx=position * self.channels + index.idx, root_idx=index.root_idx)
            for index in indices
            for position in range(self.positions)
        ]


@dataclass(frozen=True)
class _Folded:
    """The other way."""

    channels: int

    def __call__(self, indices: Any) -> Any:
        """Map torch-pruning's pairs of an index and the root's."""
        return [type(index)(idx=index.idx % self.channels, root_idx=index.root_idx) for index in indices]


def _set_mapping(holder: Any, target: Any, mapping: Any) -> None:
    for dependency in holder.dependencies:
        if dependency.target is target:
            dependency.index_mapping[0] = mapping


def _channels_before(graph: "tp.DependencyGraph", node: Any) -> int | None:
    """Return the channels that the nearest layer before an operation gives, or a parameter; None: unknown."""
    nodes, seen, of_parameter = deque(node.inputs), set(), None
    while nodes:
        before = nodes.popleft()
        if before in seen:
            continue
        seen.add(before)
        if before.module in graph.per_head:
            continue
        channels: int | None = graph.get_out_channels(before)
        if before.type == tp.ops.OPTYPE.PARAMETER:  # of positions, or with one number for each head
            of_parameter = of_parameter or channels
        elif channels is not None:
            return channels
        part = _part_of_channels(graph, before) if before.type == tp.ops.OPTYPE.SLICE else None
        if part is not None:
            return len(part)
        sizes = getattr(before.module, "concat_sizes", None)
        if sizes and None not in sizes:
            return int(sum(sizes))
        if before.type in _REARRANGING:
            found: int | None = tp.dependency.shape_infer.infer_out_channels_recursively(graph, before, [0])
            if found is not None:
                return found
        else:
            nodes.extend(before.inputs)
    return of_parameter


def _channels_behind(graph: "tp.DependencyGraph", node: Any) -> int | None:
    """Return how many channels the layer behind an operation takes."""
    for behind in node.outputs:
        found: int | None = tp.dependency.shape_infer.infer_in_channels_recursively(graph, behind, [0])
        if found is not None:
            return found
    return None


_REARRANGING = (tp.ops.OPTYPE.CONCAT, tp.ops.OPTYPE.SPLIT, tp.ops.OPTYPE.UNBIND)
_UPDATES: dict[int, Callable[["tp.DependencyGraph", Any], None]] = {
    tp.ops.OPTYPE.CONCAT: _update_concat,
    tp.ops.OPTYPE.SPLIT: _MAPPINGS.update_split_index_mapping,
    tp.ops.OPTYPE.RESHAPE: _update_reshape,
    tp.ops.OPTYPE.UNBIND: _MAPPINGS.update_unbind_index_mapping,
    tp.ops.OPTYPE.EXPAND: _MAPPINGS.update_expand_index_mapping,
    tp.ops.OPTYPE.SLICE: _update_slice,
    tp.ops.OPTYPE.ELEMENTWISE: _update_select,
}
"""Kind of operation → what sets its mappings."""

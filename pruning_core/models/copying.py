"""A copy of a network: of any network that runs, also of one that keeps what it computed.

`copy.deepcopy` refuses tensors that autograd made: features that a forward keeps on `self`, and the weights
that old-style weight and spectral norm compute in each forward. And it shares functions: a hook that was
written inside `__init__` would go on writing into the network that was copied.
"""

import copy
import gc
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn

from pruning_core.errors import ModelError, first_line

LARGE_BYTES = 100_000_000
"""Of weights. Looking for what is unreachable takes a tenth of a second, little beside work on as many."""

Memo = dict[int, Any]
"""Of `copy.deepcopy`: id of an object → its copy."""


def copy_network(network: nn.Module) -> nn.Module:
    """Return a copy of a network that shares no tensor and no layer with it.

    Args:
        network: On any device, in any mode; it stays as it is. Tensors that autograd made are detached in the
            copy, wherever they are kept: on a layer, in a list, dict or tuple, in an object of the user's.

    Raises:
        ModelError: If the network keeps something that cannot be copied, such as a lock or an open file.
    """
    memo: Memo = {}
    try:
        for item in _reachable(network, lambda _function: True):
            if isinstance(item, Tensor) and not item.is_leaf:
                memo[id(item)] = copy.deepcopy(item.detach(), memo)
        copied = copy.deepcopy(network, memo)
        # A function that is not rebound yet still leads into the network that was copied.
        for item in _reachable(copied, lambda function: memo.get(id(function)) is function):
            _rebind_functions(item, memo)
    except Exception as error:  # of a `__deepcopy__` of the user's, say
        raise ModelError(
            f"cannot copy the network, and one is pruned beside the other: {first_line(error)}; "
            "do not keep this on a layer, or make it when forward() runs"
        ) from error
    return copied


def free_unreachable(network: nn.Module) -> None:
    """Free what only refers to itself, if the network is large: traced and counted copies of it do.

    Python does so now and then by itself, but several copies of a large network may not fit into memory.
    """
    if largeness(network) > 1:
        gc.collect()


def largeness(network: nn.Module) -> float:
    """Return how many times as large as `LARGE_BYTES` the weights are; 1 for all that are smaller."""
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return max(size / LARGE_BYTES, 1.0)


def _reachable(root: Any, enter: Callable[[FunctionType], bool]) -> Iterator[Any]:
    """Yield all that something holds, at any depth: layers, tensors, containers, functions, objects.

    Args:
        root: A network, say. What an item holds may be changed while it is yielded.
        enter: Whether to go on into what a function uses of the function that it was written in.
    """
    seen: set[int] = set()
    to_visit: list[Any] = [root]
    while to_visit:
        item = to_visit.pop()
        if id(item) in seen or isinstance(item, type | ModuleType):
            continue
        seen.add(id(item))
        yield item
        if isinstance(item, FunctionType):
            if enter(item):
                to_visit += [cell.cell_contents for cell in item.__closure__ or () if cell != CellType()]
            continue
        to_visit.append(getattr(item, "__dict__", None))
        if not isinstance(item, Tensor):
            to_visit += gc.get_referents(item)


def _rebind_functions(holder: Any, memo: Memo) -> None:
    """Let the functions that a dict, list or partial of the copy holds work on the copy; changed in place."""
    if isinstance(holder, dict):
        for key, value in holder.items():
            holder[key] = _rebound(value, memo)
    elif isinstance(holder, list):
        holder[:] = [_rebound(value, memo) for value in holder]
    elif isinstance(holder, partial):
        state = (_rebound(holder.func, memo), holder.args, holder.keywords, vars(holder))
        holder.__setstate__(state)  # type: ignore[attr-defined]  # as unpickling does: others may hold it too


def _rebound(value: Any, memo: Memo) -> Any:
    """Return a function with copies of what it uses of the function it was written in; else the value."""
    if not isinstance(value, FunctionType) or not value.__closure__:
        return value
    if isinstance(memo.get(id(value)), FunctionType):
        return memo[id(value)]  # one that is met twice stays one
    cells = tuple(CellType() for _ in value.__closure__)
    new = FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, cells)
    new.__kwdefaults__, new.__qualname__ = value.__kwdefaults__, value.__qualname__
    vars(new).update(vars(value))
    memo[id(value)] = memo[id(new)] = new
    for cell, old in zip(cells, value.__closure__, strict=True):
        if old != CellType():
            cell.cell_contents = _copied(_rebound(old.cell_contents, memo), memo)
    return new


def _copied(held: Any, memo: Memo) -> Any:
    """Return a copy of what a function uses; what cannot be copied, such as a log file, is shared."""
    try:
        return copy.deepcopy(held, memo)
    except Exception:
        if any(isinstance(item, Tensor | nn.Module) for item in _reachable(held, lambda _function: True)):
            raise
        return held

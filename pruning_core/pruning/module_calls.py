"""While a network is traced, its layers are called as layers, also where a forward uses their weights itself.

torch-pruning sees modules that are called. `F.linear(x, self.qkv.weight)`, as torchvision's Swin has it, is
none: its weight would be cut along the wrong dimension, and its outputs not at all.

It also follows autograd, which ends at `detach()` and in `no_grad()`: what stands before would not be found.
While it looks, neither has an effect. A linear layer on tokens gives a view, whose trace is lost when
something is written into it, as `ReLU(inplace=True)` does: meanwhile it is a product and a sum. What is split
is cut into slices, of which autograd tells all, and what is joined along the last dimension says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FUNCTIONS = ("linear", "conv1d", "conv2d", "conv3d")
_DETACHING = (
    torch.detach,
    torch.Tensor.detach,
    torch.Tensor.data.__get__,  # type: ignore[attr-defined]  # torch declares the type of what it gives
)


@contextmanager
def module_calls(network: nn.Module) -> Iterator[None]:
    """Call a layer wherever a function gets its weight; the values need not be right, the graph is."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    owners = {id(layer.weight): layer for layer in network.modules() if isinstance(layer, kinds)}
    running: list[nn.Module] = []
    hooks = [
        hook
        for layer in owners.values()
        for hook in (
            layer.register_forward_pre_hook(lambda layer, _: running.append(layer)),
            layer.register_forward_hook(lambda *_: _pop(running)),
        )
    ]
    try:
        with _ModuleCalls(owners, running):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _pop(running: list[nn.Module]) -> None:
    running.pop()


class _ModuleCalls(TorchFunctionMode):
    """Turns functions of a layer's weight into calls of the layer; nothing is detached."""

    def __init__(self, owners: Mapping[int, nn.Module], running: list[nn.Module]) -> None:
        super().__init__()
        self._owners = owners
        self._running = running

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function, or the layer whose weight it gets."""
        kwargs = dict(kwargs or {})
        if func in _DETACHING:
            return args[0].clone()
        if func is torch._C._set_grad_enabled:
            return None
        if getattr(func, "__name__", "") in _FUNCTIONS:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            owner = self._owners.get(id(weight))
            if owner is not None and owner not in self._running and args:
                return owner(args[0])
        stand_in = _STAND_INS.get(getattr(func, "__name__", ""))
        if stand_in is not None:
            return stand_in(func, args, kwargs)
        return func(*args, **kwargs)


def _linear(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return inputs @ weight.t() if bias is None else inputs @ weight.t() + bias

    return product(*args, **kwargs)


def _slices(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = func(*args, **kwargs)
    if not args:
        return parts
    dimension = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % args[0].dim()
    found, start = [], 0
    for part in parts:
        found.append(args[0].narrow(dimension, start, part.shape[dimension]))
        start += part.shape[dimension]
    return tuple(found)


def _gate(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    def gated(inputs: Tensor, dim: int = -1) -> Tensor:
        half = inputs.shape[dim] // 2
        return inputs.narrow(dim, 0, half) * inputs.narrow(dim, half, half).sigmoid()

    return gated(*args, **kwargs)


def _cat(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    def joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
        dimensions = tensors[0].dim()
        last = dimensions > 2 and dim % dimensions == dimensions - 1
        return func(tensors, -1 if last else dim % dimensions)

    return joined(*args, **kwargs)


_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "linear": _linear,
    "glu": _gate,
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split"), _slices),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
}
"""Function's name → what runs in its place, to the same result."""

"""The layers of a network, what each computes, and what it must move through memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, count_rows, run, tensors_of
from pruning_core.pruning.cost.products import count_products
from pruning_core.pruning.targets import PRUNABLE


@dataclass(frozen=True)
class LayerWork:
    """What one layer does for one example."""

    macs: int
    activations: int  # numbers that it reads and writes
    weights: int  # numbers that it reads, once a call


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return name → layer: convolutions, linear layers and attentions, in the order of the model.

    What an attention holds is part of it.
    """
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        inside = any(name.startswith(f"{other}.") for other, layer in found.items() if _is_attention(layer))
        if isinstance(module, PRUNABLE) and not inside:
            found[name] = module
    return found


def _is_attention(layer: nn.Module) -> bool:
    return isinstance(layer, nn.MultiheadAttention)


def count_work(network: nn.Module, example: Inputs) -> dict[str, LayerWork]:
    """Count what each layer does; one that is called twice counts twice.

    Args:
        network: On the CPU; it stays as it is.
        example: What it takes, of one example or several: then the mean is counted.
    """
    copied = copy_network(network).eval()
    rows = count_rows(example)
    found: dict[str, LayerWork] = {}
    with torch.inference_mode(), _counted(layers_of(copied), found, rows):
        run(copied, example)
    return found


@contextmanager
def _counted(layers: dict[str, nn.Module], found: dict[str, LayerWork], rows: int) -> Iterator[None]:
    counting = False

    def hook_of(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
            nonlocal counting
            if counting:
                return
            counting = True
            try:
                with count_products() as products:
                    module(*args, **named)
            finally:
                counting = False
            # An attention that reads one tensor three times reads it once.
            tensors = {id(t): t for t in (*tensors_of([args, named]), *tensors_of(result))}
            before = found.get(name, LayerWork(0, 0, 0))
            found[name] = LayerWork(
                before.macs + round(products.macs / rows),
                before.activations + round(sum(t.numel() for t in tensors.values()) / rows),
                sum(parameter.numel() for parameter in module.parameters()),
            )

        return hook

    handles = [layer.register_forward_hook(hook_of(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

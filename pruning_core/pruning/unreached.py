"""Layers that torch-pruning does not find: it follows autograd from the output."""

from collections.abc import Collection, Iterator

from torch import nn

from pruning_core.pruning.base import KeptWhole
from pruning_core.pruning.graph import ROOT_TYPES

UNREACHED = "autograd does not reach it: behind it is a comparison, say, or the output does not depend on it"


def unreached_layers(network: nn.Module, known: Collection[str]) -> Iterator[KeptWhole]:
    """Yield the layers that are in no group.

    Args:
        network: Whose groups were looked for.
        known: Names of the layers in any group, and of those that are protected.
    """
    attentions = [
        name for name, module in network.named_modules() if isinstance(module, nn.MultiheadAttention)
    ]
    known = {*known, *(f"{name}.out_proj".removeprefix(".") for name in attentions if name in known)}
    for name, layer in network.named_modules():
        if isinstance(layer, ROOT_TYPES) and name not in known:
            yield KeptWhole(name, (name,), UNREACHED)

"""Layers that torch-pruning does not find: it follows autograd from the output, and loses some groups."""

from collections.abc import Collection, Iterator

from torch import nn

from pruning_core.pruning.base import KeptWhole
from pruning_core.pruning.graph import ROOT_TYPES

UNREACHED = "autograd does not reach it: behind it is a comparison, say, or the output does not depend on it"
NOT_FOUND = "torch-pruning does not find the group that it is in"


def layers_in_no_group(
    network: nn.Module, known: Collection[str], reached: Collection[str]
) -> Iterator[KeptWhole]:
    """Yield the layers that are in no group, with the reason.

    Args:
        network: Whose groups were looked for.
        known: Names of the layers in any group, and of those that are protected.
        reached: Names of the layers in the graph.
    """
    attentions = [name for name, layer in network.named_modules() if isinstance(layer, nn.MultiheadAttention)]

    def with_projections(names: Collection[str]) -> set[str]:
        """Add the output projections of attentions, which torch-pruning takes for parts of these."""
        return {*names, *(f"{name}.out_proj".removeprefix(".") for name in attentions if name in names)}

    known, reached = with_projections(known), with_projections(reached)
    for name, layer in network.named_modules():
        if isinstance(layer, ROOT_TYPES) and name not in known:
            yield KeptWhole(name, (name,), NOT_FOUND if name in reached else UNREACHED)

"""Layers that share one weight must lose the same channels: their groups are put together."""

import math
from collections.abc import Sequence

from torch import nn

from pruning_core.pruning.base import KeptWhole
from pruning_core.pruning.graph import ROOT_TYPES
from pruning_core.pruning.groups import Group
from pruning_core.pruning.widths import merged_orbits


def link_shared(
    network: nn.Module, groups: list[Group], whole: list[KeptWhole]
) -> tuple[list[Group], list[KeptWhole]]:
    """Put groups together that must lose the same channels because their layers share one weight.

    Args:
        network: Whose groups they are.
        groups: That can be ranked.
        whole: Groups that keep their width.

    Returns:
        Both; groups of which not all layers of a weight can be cut alike are among the second.
    """
    owners: dict[int, list[str]] = {}
    for name, module in network.named_modules():
        if isinstance(module, ROOT_TYPES):
            owners.setdefault(id(module.weight), []).append(name)
    for names in owners.values():
        for side in ("outputs", "inputs") if len(names) > 1 else ():
            linked = [group for group in groups if getattr(group, side) & set(names)]
            if not linked:
                continue
            groups = [group for group in groups if group not in linked]
            covered = set[str]().union(*(getattr(group, side) for group in linked))
            if covered >= set(names) and len({group.channels for group in linked}) == 1:
                groups.append(_joined(linked))
            else:
                reason = f"{' and '.join(names)} share one weight, and cannot all be cut alike"
                whole = [*whole, *(KeptWhole(group.roots[0], group.layers, reason) for group in linked)]
    return groups, whole


def _joined(groups: Sequence[Group]) -> Group:
    first, *others = groups
    for other in others:
        first = Group(
            roots=(*first.roots, *other.roots),
            layers=tuple(dict.fromkeys((*first.layers, *other.layers))),
            outputs=first.outputs | other.outputs,
            inputs=first.inputs | other.inputs,
            ignored=first.ignored | other.ignored,
            channels=first.channels,
            dense_channels=first.dense_channels,
            blocks=math.lcm(first.blocks, other.blocks),
            heads=math.lcm(first.heads, other.heads),
            orbits=merged_orbits(first.channels, first.orbits, other.orbits),
            scores=first.scores + other.scores,
            structure=" ".join(sorted(f"{first.structure} {other.structure}".split())),
        )
    return first

"""The groups of a network with their widths, and the same network with other widths, untrained.

Latency depends on shapes, not on weights: so what a change of widths would do can be timed at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.explain.layers import layers_of
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.models.inspect import find_heads
from pruning_core.pruning import find_method
from pruning_core.pruning.base import LOGITS
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan
from pruning_core.pruning.groups import find_groups
from pruning_core.pruning.step import prune
from pruning_core.pruning.structured import StructuredMethod

RESIZING = "magnitude"
"""The method that cuts to given widths; which channels go changes no time."""

NOT_OWN = 0.5
"""A ratio that no group uses: each has one of its own."""


@dataclass(frozen=True)
class WidthGroup:
    """Layers whose outputs have one width."""

    root: str  # the layer that the group is named after
    layers: tuple[str, ...]  # those whose outputs are of this width
    dense: int  # channels of the dense network
    kept: int
    unit: int  # what is kept is a multiple of this: blocks, heads
    whole: str = ""  # why it keeps its width; empty: it can be cut


def width_of(layer: nn.Module) -> int:
    """Return the channels or features that a layer gives; 0 of one that is no layer of `layers_of`."""
    for name in ("out_channels", "out_features", "embed_dim"):
        if isinstance(width := getattr(layer, name, None), int):
            return width
    return 0


def width_groups(
    dense: nn.Module, network: nn.Module, plan: ChannelPlan, example: Inputs
) -> list[WidthGroup]:
    """Return the groups of a network, those that keep their width among them; the logits are of none.

    Args:
        dense: Unpruned; it stays as it is.
        network: Pruned; likewise.
        plan: Of the pruned network.
        example: What the network takes, of one example.
    """
    work = copy_network(dense).eval()
    for parameter in work.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    heads = dict.fromkeys(find_heads(dense, example), LOGITS)
    method = find_method(RESIZING)
    assert isinstance(method, StructuredMethod)
    groups, whole = find_groups(work, dense, example, heads, method.importance())
    reasons = {kept.root: kept.reason for kept in plan.kept_whole}
    names = list(layers_of(dense))

    def group_of(root: str, layers: tuple[str, ...], unit: int, whole: str) -> WidthGroup:
        before, after = (width_of(of.get_submodule(root)) for of in (dense, network))
        return WidthGroup(root, layers, before, after, unit, whole)

    found = []
    for group in groups:
        root = group.roots[0]
        layers = tuple(name for name in names if name in group.outputs) or (root,)
        why = next((reasons[name] for name in (*group.roots, *layers) if name in reasons), "")
        found.append(group_of(root, layers, math.lcm(group.blocks, group.heads), why))
    known = {name for group in found for name in group.layers}
    for kept in whole:
        # Others of its layers may only read it, or be of another group.
        if kept.reason != LOGITS and kept.root in names and kept.root not in known:
            found.append(group_of(kept.root, (kept.root,), 1, kept.reason))
    order = {name: index for index, name in enumerate(names)}
    return sorted(found, key=lambda group: order.get(group.layers[0], len(order)))


def with_widths(
    dense: nn.Module, groups: Sequence[WidthGroup], widths: Mapping[str, int], example: Inputs
) -> tuple[nn.Module, ChannelPlan]:
    """Return the dense network cut to given widths, and its plan.

    Args:
        dense: Unpruned; it stays as it is.
        groups: Of that network.
        widths: Root of a group → channels to keep; those that are not named keep all.
        example: What the network takes, of one example.

    Raises:
        PruningError: If it cannot be cut so.
    """
    ratios = []
    for group in groups:
        width = group.dense if group.whole else widths.get(group.root, group.dense)
        ratios.append((group.root, 0.0 if width >= group.dense else 1 - width / group.dense))
    # Not validated: a deep network has more layers than a user may name.
    spec = MethodSpec.model_construct(
        name=RESIZING,
        schedule="one-shot",
        scope="local",
        round_to=1,
        protect=(),
        ratio_of=tuple(sorted(ratios)),
    )
    network = copy_network(dense)
    if not any(ratio for _, ratio in ratios):
        return network.eval(), make_plan(dense, network)
    plan = prune(network, dense, spec, NOT_OWN, example, seed=0)
    return network.eval(), plan


def rounded(groups: Sequence[WidthGroup], multiple: int, *, up: bool) -> dict[str, int]:
    """Return root → the width of each group as a multiple, as `--round-to` has it, or the next one above.

    Args:
        groups: With the widths that they keep.
        multiple: Of channels.
        up: Never below the width that there is, and not above the dense one; else not above it.
    """
    return {group.root: _rounded(group, multiple, up) for group in groups if not group.whole}


def _rounded(group: WidthGroup, multiple: int, up: bool) -> int:
    unit = math.lcm(multiple, group.unit)
    if group.kept >= group.dense or group.kept % unit == 0:
        return group.kept
    if up:
        return min(group.dense, -(-group.kept // unit) * unit)
    return min(group.dense, max(group.kept - group.kept % unit, unit))

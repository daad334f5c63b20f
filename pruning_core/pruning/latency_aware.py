"""Keep in each group the width that it was allocated: what buys most importance for the time it takes.

The widths stand in the spec. They are found by timing shapes (`shapes/allocation.py`), before anything is
pruned; here they are cut, exactly. Within a group the order is that of `magnitude`.

Source: Shen et al., "Structural Pruning via Latency-Saliency Knapsack" (HALP), NeurIPS 2022.
"""

import math
from collections.abc import Sequence

from torch import nn

from pruning_core.config.allocation import HOW_TO_ALLOCATE, LATENCY_AWARE
from pruning_core.console.shown import shown
from pruning_core.errors import PruningError
from pruning_core.pruning.base import Outcome, PruningStep
from pruning_core.pruning.channel_plan import layer_widths
from pruning_core.pruning.choice import Wanted
from pruning_core.pruning.groups import Group
from pruning_core.pruning.magnitude import Magnitude
from pruning_core.pruning.structured import RatioOf


class LatencyAware(Magnitude):
    """L2 norm of a channel's weights, group-wise; as many stay as were allocated."""

    name = LATENCY_AWARE
    scopes = ("local",)

    def choose(self, groups: Sequence[Group], step: PruningStep, ratio_of: RatioOf) -> Wanted:
        """Return the allocated widths; a group without one loses nothing.

        Raises:
            PruningError: If the spec has no allocation, or one that does not fit the network.
        """
        if not step.spec.allocation:
            raise PruningError(HOW_TO_ALLOCATE)
        wanted: dict[Group, int] = {}
        by_layer = {layer: group for group in groups for layer in (*group.roots, *group.outputs)}
        for layer, width in step.spec.allocation:
            group = by_layer.get(layer)
            if group is None:
                raise PruningError(f"allocation: {shown(layer)} is in no group of this model that can be cut")
            _check_width(layer, width, group, step.spec.round_to)
            if wanted.setdefault(group, width) != width:
                raise PruningError(
                    f"allocation: {shown(layer)} is to keep {width} channels, and a layer of its group "
                    f"{wanted[group]}: they can only be cut alike"
                )
        return {group: width for group, width in wanted.items() if width < group.channels}

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Cut each group to its allocated width, or keep it whole and say so.

        Raises:
            PruningError: If a group would end at another width.
        """
        before = layer_widths(network)
        outcome = super().prune(network, step)
        after, whole = layer_widths(network), {layer for kept in outcome.kept_whole for layer in kept.layers}
        for layer, width in step.spec.allocation if step.ratio < 1 else ():
            found = after[layer][1]
            if layer not in whole and found != min(width, before[layer][1]):
                raise PruningError(
                    f"allocation: {shown(layer)} is to keep {width} channels, and would keep {found}: "
                    "some of them can only go together; protect it"
                )
        return outcome


def _check_width(layer: str, width: int, group: Group, round_to: int) -> None:
    unit = math.lcm(round_to, group.blocks)
    if width > group.dense_channels or (width % unit and width != group.dense_channels):
        raise PruningError(
            f"allocation: {shown(layer)} is to keep {width} channels; it has {group.dense_channels}, and "
            f"keeps all of them or a multiple of {unit}"
        )

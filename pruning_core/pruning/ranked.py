"""The groups of a dense network that can be cut, each with the scores of its channels; nothing is cut."""

import math
from dataclasses import dataclass

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.models.inspect import find_heads
from pruning_core.pruning.base import LOGITS
from pruning_core.pruning.groups import Group, Importance
from pruning_core.pruning.plain import make_plain
from pruning_core.pruning.search import CutSearch
from pruning_core.pruning.structured import rank_groups
from pruning_core.pruning.targets import protected_layers, ratio_of_group, ratios_of_layers
from pruning_core.pruning.widths import asked_width, rounded_width


@dataclass(frozen=True)
class RankedNetwork:
    """A dense network, ready to be cut, and what can be cut of it."""

    network: nn.Module  # a copy of it: weights are plain, all parameters require gradients
    groups: tuple[Group, ...]
    fixed: dict[int, float]  # index of a group → the ratio that it has of its own
    round_to: int

    def unit_of(self, index: int) -> int:
        """Return what the width of a group is a multiple of: blocks, heads, bound channels go together."""
        group = self.groups[index]
        bound = {len(orbit) for orbit in group.orbits}
        return math.lcm(self.round_to, group.blocks, group.heads, *bound)

    def width_at(self, index: int, ratio: float) -> int:
        """Return the width of a group at a ratio of all, as `magnitude` with local scope cuts it."""
        group, ratio = self.groups[index], self.fixed.get(index, ratio)
        if ratio <= 0:
            return group.channels
        asked = asked_width(group.dense_channels, ratio)
        return rounded_width(group.dense_channels, asked, self.round_to, self.unit_of(index))


def rank_network(
    dense: nn.Module, method: MethodSpec, example: Inputs, importance: Importance
) -> RankedNetwork:
    """Find the groups of a dense network that can be cut and proved, and rank their channels.

    Args:
        dense: Trained or not, on the CPU; it stays as it is.
        method: Says what is protected, has a ratio of its own, and is rounded to.
        example: What the network takes, of one example.
        importance: Scores the channels of a group.

    Raises:
        PruningError: If nothing in the network can be cut.
        OptionError: If a pattern of layers matches none.
    """
    plain = copy_network(dense).eval()
    make_plain(plain)
    protected = protected_layers(plain, method) | dict.fromkeys(find_heads(dense, example), LOGITS)
    network, groups, _ = rank_groups(plain, plain, example, protected, lambda _: importance)
    half = {group: group.channels // 2 for group in groups}
    search = CutSearch(network, example, half, method.round_to)
    search.run()
    cuttable = tuple(group for group in search.cuts if group not in search.failed)
    if not cuttable:
        raise PruningError("nothing in this model can be cut: `pruning-bench plan` says why")
    own = ratios_of_layers(plain, method, protected)
    fixed = {
        index: ratio_of_group(group.outputs, own, -1.0)
        for index, group in enumerate(cuttable)
        if group.outputs & own.keys()
    }
    return RankedNetwork(network, cuttable, fixed, method.round_to)

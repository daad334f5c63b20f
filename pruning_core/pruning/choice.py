"""How many channels go: of each group its share (local scope), or the lowest of all together (global)."""

import math
from collections.abc import Callable, Mapping, Sequence

from pruning_core.pruning.cutting import Cut
from pruning_core.pruning.groups import Group
from pruning_core.pruning.widths import asked_width, lowest, orbit_scores, rounded_width

Wanted = Mapping[Group, int]
"""Group → channels that are to stay, before rounding; a group that is not in it loses none."""


def choose_locally(groups: Sequence[Group], ratio_of: Callable[[Group], float]) -> Wanted:
    """Take from each group its own fraction.

    Args:
        groups: That can be cut.
        ratio_of: Group → fraction of its dense channels that is to be gone.
    """
    return {
        group: asked_width(group.dense_channels, ratio_of(group)) for group in groups if ratio_of(group) > 0
    }


def choose_globally(groups: Sequence[Group], ratio: float) -> Wanted:
    """Take the channels of lowest score from all groups together.

    Args:
        groups: That can be cut.
        ratio: Fraction of all their dense channels that is to be gone.
    """
    scores = {group: orbit_scores(group.scores, group.orbits) for group in groups}
    ranked = sorted(
        (score, len(orbit))
        for group in groups
        for score, orbit in zip(scores[group], group.orbits, strict=True)
    )
    asked = asked_width(sum(group.dense_channels for group in groups), ratio)
    remove = sum(group.channels for group in groups) - asked
    threshold = float("-inf")
    for score, size in ranked:
        if remove <= 0:
            break
        threshold, remove = score, remove - size
    gone = {
        group: sum(
            len(orbit) for score, orbit in zip(scores[group], group.orbits, strict=True) if score <= threshold
        )
        for group in groups
    }
    return {group: group.channels - gone[group] for group in groups if gone[group]}


def cut_to(group: Group, wanted: int, round_to: int, coarse: bool = False) -> Cut | None:
    """Choose the channels of a group that go: those of lowest score.

    Args:
        group: Whose channels go.
        wanted: How many are to stay, before rounding.
        round_to: A multiple of this stays, and never nothing.
        coarse: A multiple of the heads of the attentions that it feeds stays too.

    Returns:
        None if none goes.
    """
    blocks = math.lcm(group.blocks, group.heads) if coarse else group.blocks
    kept = rounded_width(group.dense_channels, wanted, round_to, blocks)
    gone = lowest(group.scores, group.orbits, group.channels - kept)
    return Cut(group.roots, gone, group.ignored) if gone else None

"""How many channels go: of each group its share (local scope), or the lowest of several groups together.

Those are all groups (global scope), or all that are bound alike (isomorphic). Then a group that may lose no
more is passed over, and others lose more.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from pruning_core.pruning.cutting import Cut
from pruning_core.pruning.groups import Group
from pruning_core.pruning.widths import asked_width, lowest, multiple_above, orbit_scores, rounded_width

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
    asked = asked_width(sum(group.dense_channels for group in groups), ratio)
    remove = sum(group.channels for group in groups) - asked
    ranked = [
        (score, rank / len(group.orbits), len(orbit), group)
        for group in groups
        for rank, (score, orbit) in enumerate(_ranked(group))
    ]
    # Of equal scores, such as those of fresh batch norms, each group loses the same share.
    ranked.sort(key=lambda item: item[:2])
    gone, closed = dict.fromkeys(groups, 0), set[Group]()
    for _, _, size, group in ranked:
        if remove <= 0:
            break
        if group in closed or group.channels - gone[group] - size < group.min_channels:
            closed.add(group)
            continue
        gone[group] += size
        remove -= size
    return {group: group.channels - gone[group] for group in groups if gone[group]}


def choose_isomorphically(groups: Sequence[Group], ratio: float) -> Wanted:
    """Take the channels of lowest score from all groups of one structure together, for each structure.

    Args:
        groups: That can be cut.
        ratio: Fraction of the dense channels of each structure that is to be gone.
    """
    alike: dict[str, list[Group]] = {}
    for group in groups:
        alike.setdefault(group.structure, []).append(group)
    return {group: kept for some in alike.values() for group, kept in choose_globally(some, ratio).items()}


def _ranked(group: Group) -> list[tuple[float, Sequence[int]]]:
    scores = orbit_scores(group.scores, group.orbits)
    return sorted(zip(scores, group.orbits, strict=True), key=lambda pair: pair[0])


def cut_to(group: Group, wanted: int, round_to: int, multiple: int = 1) -> Cut | None:
    """Choose the channels of a group that go: those of lowest score.

    Args:
        group: Whose channels go.
        wanted: How many are to stay, before rounding.
        round_to: A multiple of this stays, and never nothing.
        multiple: A multiple of this stays too: of the heads of the attentions that it feeds, say.

    Returns:
        None if none goes.
    """
    blocks = math.lcm(group.blocks, multiple)
    kept = rounded_width(group.dense_channels, wanted, round_to, blocks)
    kept = max(kept, multiple_above(group.min_channels, math.lcm(round_to, blocks)))
    gone = lowest(group.scores, group.orbits, group.channels - kept)
    return Cut(group.roots, gone, group.ignored) if gone else None

"""How many channels of a group stay at a ratio, and which: those of lowest score go.

Channels can be bound to one another: in a grouped convolution each block must lose as many, behind a split
the halves lose the same. Such a set is an orbit; it goes as a whole.
"""

import math
from collections.abc import Sequence

from torch import Tensor

ROUNDING = 1e-9
"""In floating point a whole number of channels can come out as a little less, and is meant all the same."""

Orbits = Sequence[Sequence[int]]
"""Sets of channels that can only go together; each channel is in one."""


def asked_width(dense_width: int, ratio: float) -> int:
    """Return how many channels a ratio asks to stay, rounded down; nothing else decides.

    Args:
        dense_width: Channels of the dense network, of one group or of all.
        ratio: Fraction of them to remove, in [0, 1].
    """
    return math.floor(dense_width * (1 - ratio) + ROUNDING)


def rounded_width(width: int, wanted: int, round_to: int, blocks: int) -> int:
    """Return how many channels stay of those that are asked for.

    Args:
        width: Channels of the dense network.
        wanted: Channels asked for.
        round_to: What stays is a multiple of this, rounded down.
        blocks: And of this: equal blocks that lose alike (grouped convolutions, heads).

    Returns:
        At least one such multiple, so that no layer is emptied; `width` where there are no more than that, or
        where all are asked for.
    """
    unit = math.lcm(round_to, blocks)
    if wanted >= width or width <= unit:
        return width
    return max(wanted - wanted % unit, unit)


def min_width(dense_width: int, max_ratio: float) -> int:
    """Return how many channels stay of a group that may lose a share of them at most; 0: there is no limit.

    Args:
        dense_width: Channels of the dense network.
        max_ratio: Largest fraction of them that may go, in (0, 1].
    """
    return 0 if max_ratio >= 1 else math.ceil(dense_width * (1 - max_ratio) - ROUNDING)


def multiple_above(width: int, unit: int) -> int:
    """Return the smallest multiple of `unit` that is no smaller than `width`."""
    return -(-width // unit) * unit


def orbits_of_blocks(channels: int, blocks: int) -> list[list[int]]:
    """Return the orbits of channels that are so many equal blocks, which lose alike."""
    size = channels // blocks
    return [[block * size + channel for block in range(blocks)] for channel in range(size)]


def merged_orbits(channels: int, *orbits: Orbits) -> list[list[int]]:
    """Return the smallest sets that hold each given set whole."""
    leader = list(range(channels))

    def find(channel: int) -> int:
        while leader[channel] != channel:
            leader[channel] = leader[leader[channel]]
            channel = leader[channel]
        return channel

    for orbit in (orbit for some in orbits for orbit in some):
        for channel in orbit[1:]:
            leader[find(channel)] = find(orbit[0])
    found: dict[int, list[int]] = {}
    for channel in range(channels):
        found.setdefault(find(channel), []).append(channel)
    return list(found.values())


def orbit_scores(scores: Tensor, orbits: Orbits) -> list[float]:
    """Return the mean score of each orbit.

    Args:
        scores: (channels,).
        orbits: Of those channels.
    """
    values = scores.tolist()
    return [sum(values[channel] for channel in orbit) / len(orbit) for orbit in orbits]


def lowest(scores: Tensor, orbits: Orbits, remove: int) -> tuple[int, ...]:
    """Return the channels that go: of the orbits of lowest score, as many as fit.

    Args:
        scores: (channels,).
        orbits: Of those channels.
        remove: How many channels go, at most.
    """
    ranked = sorted(zip(orbit_scores(scores, orbits), orbits, strict=True), key=lambda pair: pair[0])
    gone: list[int] = []
    for _, orbit in ranked:
        if len(gone) + len(orbit) > remove:
            break
        gone += orbit
    return tuple(sorted(gone))

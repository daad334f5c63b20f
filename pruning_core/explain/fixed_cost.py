"""What a runtime takes for a node that computes next to nothing; and what its profile adds to a node.

A layer whose time is mostly this gains nothing from fewer channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import nn

from pruning_core.explain.profile import NetworkProfile, Node, Profiler, Round, profile_in_rounds
from pruning_core.explain.profilers import open_profiler
from pruning_core.shapes.timing import Setting

CHAIN = 32
"""Layers of the networks that it is measured on."""

EMPTY = (8, 1)
"""Channels and pixels, height and width, of a layer that computes nothing to speak of."""

SMALL = (32, 14)
"""Of one that several threads share: to profile it takes longer than to profile an empty one."""

ROUNDS = 30
"""Short ones, and many: a few of them vary as much as what is measured."""


@dataclass(frozen=True)
class FixedCost:
    """What each node takes, whatever it computes, in milliseconds."""

    node_ms: float
    profile_ms: float  # that a profiled node takes longer


def measure_fixed_cost(setting: Setting, wait_until_idle: Callable[[], object] = lambda: None) -> FixedCost:
    """Measure chains of small layers on a backend, in float32.

    Args:
        setting: Its precision and batch size do not matter.
        wait_until_idle: As in `profile_in_rounds`.
    """
    profilers = {name: _open_chain(*sizes, setting) for name, sizes in (("empty", EMPTY), ("small", SMALL))}
    profiles = profile_in_rounds(profilers, ROUNDS, wait_until_idle=wait_until_idle)
    longer_ms = max(_longer_ms(profile) for profile in profiles.values())
    return FixedCost(profiles["empty"].whole_ms / CHAIN, max(0.0, longer_ms))


def _longer_ms(profile: NetworkProfile) -> float:
    """Return what a profiled node of a chain takes longer than its share of the call of that round."""
    return median(
        sum(node.ms for node in one.nodes) / max(1, len({n.name for n in one.nodes} - {"forward"}))
        - one.whole_ms / CHAIN
        for one in profile.rounds
    )


def _open_chain(channels: int, pixels: int, setting: Setting) -> Profiler:
    chain = nn.Sequential(*(nn.Conv2d(channels, channels, 1) for _ in range(CHAIN)), nn.Flatten())
    example = torch.zeros(1, channels, pixels, pixels)
    return open_profiler(chain.eval(), example, replace(setting, precision="fp32", batch_size=1))


def without_overhead(profile: NetworkProfile, cost: FixedCost) -> NetworkProfile:
    """Return a profile without the time that profiling a node takes."""
    return replace(
        profile,
        rounds=tuple(
            Round(one.whole_ms, one.profiled_ms, tuple(_lighter(node, cost) for node in one.nodes))
            for one in profile.rounds
        ),
    )


def _lighter(node: Node, cost: FixedCost) -> Node:
    return replace(node, ms=max(0.0, node.ms - cost.profile_ms))

"""What a runtime takes for a node that computes next to nothing; and what its profile adds to a node.

A layer whose time is mostly this gains nothing from fewer channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import nn

from pruning_core.explain.profile import NetworkProfile, Node, Round, profile_in_rounds, quickest
from pruning_core.explain.profilers import open_profiler
from pruning_core.shapes.timing import Setting

CHAIN = 32
"""Layers of the network that it is measured on, each of so few channels that nothing is computed."""

CHANNELS = 8
ROUNDS = 8


@dataclass(frozen=True)
class FixedCost:
    """What each node takes, whatever it computes, in milliseconds."""

    node_ms: float
    profile_ms: float  # that a profiled node takes longer


def measure_fixed_cost(setting: Setting, wait_until_idle: Callable[[], object] = lambda: None) -> FixedCost:
    """Measure a chain of tiny layers on a backend: of one pixel each, in float32.

    Args:
        setting: Its precision and batch size do not matter.
        wait_until_idle: As in `profile_in_rounds`.
    """
    chain = nn.Sequential(*(nn.Conv2d(CHANNELS, CHANNELS, 1) for _ in range(CHAIN)), nn.Flatten())
    profiler = open_profiler(
        chain.eval(), torch.zeros(1, CHANNELS, 1, 1), replace(setting, precision="fp32", batch_size=1)
    )
    profile = profile_in_rounds({"": profiler}, ROUNDS, wait_until_idle=wait_until_idle)[""]
    node_ms = profile.whole_ms / CHAIN
    quiet = quickest(profile.rounds, key=lambda one: one.profiled_ms)
    profiled_ms = fmean(
        sum(node.ms for node in one.nodes) / max(1, len({n.name for n in one.nodes} - {"forward"}))
        for one in quiet
    )
    return FixedCost(node_ms, max(0.0, profiled_ms - node_ms))


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

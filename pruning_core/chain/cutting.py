"""A step's network before it is fine-tuned: the parent cut further, or what a control has in its place."""

import time
from dataclasses import dataclass

from torch import nn

from pruning_core.chain.networks import build_network, example_of, load_network
from pruning_core.chain.ranking import ranking_losses
from pruning_core.config.parse import MAX_SEED
from pruning_core.config.spec import PrunedSpec
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.redrawn import redrawn
from pruning_core.pruning.step import extent_of, is_exhausted, prune
from pruning_core.records.controls import DENSE_PLUS, THIN, has_new_weights
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.tasks.base import Task

OTHER_SEED = MAX_SEED // 2
"""Added to the seed of a network that is built again: from its own it would begin as the dense one did."""


@dataclass(frozen=True)
class CutNetwork:
    """A network that is ready to be fine-tuned."""

    network: nn.Module
    plan: ChannelPlan
    seconds: float  # that it took
    exhausted: bool  # nothing was removed


def cut_network(spec: PrunedSpec, parent: Checkpoint, task: Task) -> CutNetwork:
    """Prune the parent to the spec's ratio; for a control take what it is to be.

    Args:
        spec: Of the step.
        parent: That it begins with.
        task: The one of the spec.
    """
    started, seed, example = time.perf_counter(), spec.fine_tune.seed, example_of(spec)
    name = spec.method.name
    if name == DENSE_PLUS:
        return CutNetwork(load_network(parent), parent.plan, 0.0, False)
    if has_new_weights(name):
        plan, other = parent.plan, (seed + OTHER_SEED) % (MAX_SEED + 1)
        if name == THIN:
            network = build_network(spec, other)
            plan = prune(network, build_network(spec), spec.method, spec.ratio, example, seed)
        network = redrawn(build_network(spec, other), plan)
        return CutNetwork(network, plan, time.perf_counter() - started, False)
    network = load_network(parent)
    before, dense = extent_of(network), build_network(spec)
    started = time.perf_counter()
    losses = ranking_losses(task, spec.method, seed)
    plan = prune(network, dense, spec.method, spec.ratio, example, seed, parent.plan, losses)
    return CutNetwork(network, plan, time.perf_counter() - started, is_exhausted(network, before))

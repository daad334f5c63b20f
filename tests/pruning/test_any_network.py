"""Networks of any kind are cut, proved, described by a plan, loaded by it; what keeps its width is named."""

import copy
import re

import pytest
import safetensors.torch
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models.inspect import take_training_paths
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.loading import load_pruned, stored_tensors
from pruning_core.pruning.step import prune
from tests.helpers.forward_networks import ForwardNetwork, conv
from tests.helpers.kinds_of_networks import IMAGE, KINDS

EXAMPLE = torch.zeros(1, *IMAGE)
IMAGES = torch.randn(3, *IMAGE, generator=torch.Generator().manual_seed(3))

STATISTICS = {
    "group norm": "statistics change: group norm",
    "response norm": "statistics change: mean",
    "vision transformer": "statistics change: layer norm",
    "encoder of PyTorch's": "statistics change: layer norm",
}
"""Kinds whose cut is not exact, and why."""


def built(name, seed):
    """Build a network, its weights decided by a seed."""
    torch.manual_seed(seed)
    return KINDS[name][0]().eval()


def pruned(name, *ratios, **fields):
    """Return a network pruned along a chain, and its plan."""
    dense, plan = built(name, 0), None
    network = copy.deepcopy(dense)
    for ratio in ratios:
        plan = prune(network, dense, MethodSpec(**fields), ratio, EXAMPLE, seed=0, earlier=plan)
    return network, plan


@pytest.mark.parametrize("ratios", [(0.5,), (0.9,), (0.5, 0.9)], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_what_is_pruned_loads(name, ratios):
    """It is narrower, as proved, and answers the same when it is loaded into a network of other weights."""
    network, plan = pruned(name, *ratios)
    assert 0 < plan.achieved_ratio < 1
    assert plan.proof == STATISTICS.get(name, "exact")
    assert {kept.root for kept in plan.kept_whole} == KINDS[name][1]
    assert all(kept.reason and kept.root in kept.layers for kept in plan.kept_whole)
    assert all(
        width < plan.dense_widths[layer] for layer, width in plan.widths.items() if cut_alone(plan, layer)
    )
    weights = safetensors.torch.load(safetensors.torch.save(stored_tensors(network)))
    read = ChannelPlan.model_validate_json(plan.model_dump_json())
    assert read == plan
    loaded = load_pruned(built(name, 1), read, weights).eval()
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES), network(IMAGES))
    assert frozen(loaded) == frozen(network)


def cut_alone(plan, layer):
    """Tell whether a layer's width is to be cut: it makes no logits, and is in no group that stays whole."""
    return (
        layer != "out" and plan.layers[layer].prunable and not any(layer in k.layers for k in plan.kept_whole)
    )


def frozen(network):
    """Name what is not trained."""
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_pruned_trains(name):
    """Each weight that had a gradient before has one afterwards, on the paths of training too."""
    network, _ = pruned(name, 0.5)
    assert gradients(network) == gradients(built(name, 0))


def gradients(network):
    """Name the parameters that a step would change; a weight that is computed from others by its own name."""
    take_training_paths(network)
    answers = network(IMAGES)
    for answer in answers if isinstance(answers, tuple) else (answers,):
        answer.square().sum().backward(retain_graph=True)
    changed = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    return {re.sub(r"parametrizations\.(\w+)\.original\d?$", r"\1", name) for name in changed}


def test_what_breaks_when_it_is_cut_is_named():
    """The error where nothing can be cut names ratio and group, and says what the network raised."""
    network = ForwardNetwork(
        lambda m, x: m.out(m.a(x).view(len(x), 16, -1).mean(2)), a=conv(3, 16), out=torch.nn.Linear(16, 10)
    )
    said = (
        r"nothing in this model can be pruned to 0\.5\. a: the network does not run without these channels: "
    )
    with pytest.raises(PruningError, match=said):
        prune(copy.deepcopy(network), network, MethodSpec(), 0.5, EXAMPLE, seed=0)

"""A ratio means what it says: a width follows from ratio, dense width, `round_to` and groups alone."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.pruning.preview import preview_networks
from pruning_core.pruning.step import extent_of, is_exhausted, prune
from tests.helpers.forward_networks import ForwardNetwork, conv
from tests.helpers.kinds_of_networks import KINDS

EXAMPLE = torch.zeros(1, 3, 16, 16)


def plans_of(build, *ratios, **fields):
    """Return the plans of a schedule: each step goes on from the one before, or from dense (one-shot)."""
    torch.manual_seed(0)
    dense, method = build().eval(), MethodSpec(**fields)
    network, plan, plans = copy_network(dense), None, []
    for ratio in ratios:
        if method.schedule == "one-shot":
            network, plan = copy_network(dense), None
        plan = prune(network, dense, method, ratio, EXAMPLE, seed=0, earlier=plan)
        plans.append(plan)
    return plans


@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v2", "torchvision:regnet_y_400mf"])
def test_macs_never_rise_with_the_ratio(model):
    """One-shot ratios close to 1 leave each layer `round_to` channels, and never a layer whole."""
    ratios = (0.9, 0.95, 0.97, 0.99)
    method = MethodSpec(schedule="one-shot")
    dense, *steps = (step for step, _ in preview_networks(model, method, ratios, with_dense=True))
    assert all(above.macs >= below.macs for above, below in pairwise(steps))
    assert all(above.params >= below.params for above, below in pairwise(steps))
    assert steps[-1].macs < steps[0].macs
    classifier = list(dense.widths)[-1]
    for step in steps:
        whole = {layer for layer, width in step.widths.items() if width == dense.widths[layer]}
        assert whole - {layer for kept in step.kept_whole for layer in kept.layers} == {classifier}


def test_ratio_one():
    """It is refused where each step begins with the dense network, and exhausted at the end of a chain."""
    build = KINDS["depthwise"][0]
    with pytest.raises(PruningError, match=r"ratio 1 would remove every channel: .* ratios are below 1"):
        plans_of(build, 1.0, schedule="one-shot")
    torch.manual_seed(0)
    dense = build().eval()
    network = copy_network(dense)
    plan = prune(network, dense, MethodSpec(), 0.9, EXAMPLE, seed=0)
    before = extent_of(network)
    assert not is_exhausted(dense, before)
    prune(network, dense, MethodSpec(), 1.0, EXAMPLE, seed=0, earlier=plan)
    assert is_exhausted(network, before)


@pytest.mark.parametrize(
    "name", ["depthwise", "grouped", "gated halves", "group norm", "maxout", "tied weights"]
)
def test_other_ratios_of_a_chain_do_not_matter(name):
    """Each step of a chain is as wide as it is from dense, whatever came before it."""
    build, ratios = KINDS[name][0], (0.25, 0.5, 0.75, 0.9)
    from_dense = [plan.widths for plan in plans_of(build, *ratios, schedule="one-shot")]
    assert [plan.widths for plan in plans_of(build, *ratios)] == from_dense
    assert [plan.widths for plan in plans_of(build, 0.5, 0.9)] == from_dense[1::2]


def test_group_norms_keep_multiples_of_their_groups():
    """4 groups of 16 channels and 8 of 32: 12 and 24, 8 and 16, 4 and 8, in a chain and from dense."""

    def build():
        trunk = [conv(3, 16), nn.GroupNorm(4, 16), nn.ReLU(), conv(16, 32), nn.GroupNorm(8, 32), nn.ReLU()]
        return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))

    for schedule in ("iterative", "one-shot"):
        plans = plans_of(build, 0.25, 0.5, 0.75, 0.9, schedule=schedule)
        widths = [(plan.widths["0"], plan.widths["3"]) for plan in plans]
        assert widths == [(12, 24), (8, 16), (4, 8), (4, 8)]


def test_a_quarter_of_blocks_is_a_quarter():
    """A grouped convolution of 4 groups and 16 channels keeps 12; 32 that are split in halves, 24."""
    grouped = ForwardNetwork(
        lambda m, x: m.out(m.b(m.g(m.a(x)).relu()).mean((2, 3))),
        a=conv(3, 16), g=conv(16, 16, groups=4), b=conv(16, 8), out=nn.Linear(8, 10),
    )  # fmt: skip
    (plan,) = plans_of(lambda: grouped, 0.25)
    assert (plan.widths["g"], plan.layers["g"].requested_outputs) == (12, 12)
    (plan,) = plans_of(KINDS["gated halves"][0], 0.25)
    assert plan.widths["a"] == 24

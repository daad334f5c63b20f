"""Layers that keep their width are named, with the reason; and what was asked of a layer is of the layer."""

import copy

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.groups import ENDLESS, find_groups
from pruning_core.pruning.step import prune
from pruning_core.pruning.unreached import NOT_FOUND, UNREACHED
from pruning_core.system.time_limit import OutOfTimeError
from tests.helpers.forward_networks import ForwardNetwork, conv
from tests.helpers.kept_whole_networks import EXAMPLE, Gated, Shuffled, SignsOfBackbone, SpatialGate

SCOPES = ("local", "global")


def plan_of(network, ratio=0.5, **fields):
    """Prune a copy of a network; return its plan."""
    dense = network.eval()
    return prune(copy.deepcopy(dense), dense, MethodSpec(**fields), ratio, EXAMPLE, seed=0)


def reasons_in(plan):
    """Return the layer that each group kept whole is named after → why."""
    return {kept.root: kept.reason for kept in plan.kept_whole}


def not_named(plan):
    """Return the layers of full width that neither make the logits nor stand in a group kept whole."""
    named = {layer for kept in plan.kept_whole for layer in kept.layers}
    return [
        name
        for name, layer in plan.layers.items()
        if layer.outputs == layer.dense_outputs and layer.prunable and name not in named
    ]


def classify(*trunk, width):
    """Return a network of a trunk that ends in maps of this width, and a classifier."""
    return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


CASES = {
    "reordered": (Shuffled, {}, {"a": "the network answers otherwise"}),
    "spatial gate": (SpatialGate, {}, {"gate": "the one channel of gate is multiplied with the 16 of trunk"}),
    "comparison": (SignsOfBackbone, {}, {"backbone.0": UNREACHED, "backbone.2": UNREACHED}),
    "narrow": (
        lambda: classify(conv(3, 6), nn.ReLU(), conv(6, 8), nn.ReLU(), conv(8, 32), width=32),
        {"round_to": 8},
        {
            "0": "it keeps multiples of 8 channels, and has 6",
            "2": "it keeps multiples of 8 channels, and has 8",
        },
    ),
    "fewer than blocks": (
        lambda: ForwardNetwork(
            lambda m, x: m.fc(m.b(m.grouped(torch.cat([m.norm(m.a(x))] * 2, 1))).mean((2, 3))),
            a=conv(3, 3),
            norm=nn.GroupNorm(3, 3),
            grouped=conv(6, 6, groups=2),
            b=conv(6, 16),
            fc=nn.Linear(16, 10),
        ),
        {},
        {"a": "it keeps multiples of 6 channels, and has 3"},
    ),
    "protected": (Gated, {"protect": ["b"]}, {"b": "protected by 'b'"}),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", CASES)
def test_layers_that_keep_their_width_are_named(name, scope):
    """Each group that keeps its width has its reason, in both scopes, and the others are cut."""
    build, fields, expected = CASES[name]
    torch.manual_seed(0)
    plan = plan_of(build(), scope=scope, **fields)
    reasons = reasons_in(plan)
    assert reasons.keys() == expected.keys()
    assert all(reasons[root].startswith(reason) for root, reason in expected.items())
    assert not_named(plan) == []
    assert plan.achieved_ratio > 0
    assert plan.proof


def test_channels_that_can_only_go_together_are_named():
    """Where one channel was to go and only two can, the group keeps its width, and that is said."""
    plan = plan_of(Gated(), 0.02, round_to=1)
    assert plan.widths == {"a": 32, "b": 39, "fc": 10}
    assert reasons_in(plan) == {
        "a": "up to 2 of its channels can only go together, which is more than were to go"
    }


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
def test_groups_are_counted_alike_with_and_without_protection(ratio):
    """A protected layer stands for its whole group; how many groups there are depends on the network."""
    shared = conv(8, 8)
    network = classify(conv(3, 8), nn.ReLU(), shared, nn.Sequential(conv(8, 16), nn.GELU()), width=16)
    free = plan_of(network, ratio)
    assert (free.groups, free.kept_whole) == (3, ())
    (kept,) = plan_of(network, ratio, protect=["2"]).kept_whole
    assert kept.layers == ("2", "3.0")
    assert plan_of(network, ratio, protect=["2"]).groups == 3


class Residual(nn.Module):
    """Two convolutions whose outputs are added, and one behind."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.fc = conv(3, 16), conv(3, 16), conv(16, 24), nn.Linear(24, 10)

    def forward(self, x):
        """(N, 3, H, W) -> (N, 10)."""
        return self.fc(torch.relu(self.c(torch.relu(self.a(x) + self.b(x)))).mean((2, 3)))


def test_layers_of_a_group_that_is_not_found_are_not_called_unreached(monkeypatch):
    """Where torch-pruning loses a group, the others in it are in a group that is not found."""

    def out_of_time(*_):
        raise OutOfTimeError

    def run(network, x):
        tokens = network.embed(x.flatten(2).transpose(1, 2))
        return network.fc(network.attention(tokens, tokens, tokens)[0].mean(1))

    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    network = ForwardNetwork(run, embed=nn.Linear(3, 8), attention=attention, fc=nn.Linear(8, 10))
    monkeypatch.setattr("pruning_core.pruning.groups._Finder.group", out_of_time)
    groups, whole = find_groups(network, network, EXAMPLE, {}, lambda _: None)
    reasons = {kept.root: kept.reason for kept in whole}
    assert (groups, reasons) == ([], {"embed": ENDLESS, "fc": ENDLESS, "attention.out_proj": NOT_FOUND})


def test_a_protected_layer_keeps_those_that_are_added_to_it_in_one_group():
    """Two layers that are added are one group, whichever is protected, or both."""
    for protect in (["a"], ["b"], ["a", "b"]):
        plan = plan_of(Residual(), protect=protect)
        assert plan.groups == 2
        (kept,) = plan.kept_whole
        assert {"a", "b"} <= set(kept.layers)
        assert "protected by" in kept.reason


def test_masks_and_dense_networks_have_no_groups():
    """Nothing is said of groups where no channel is cut."""
    for plan in (plan_of(Residual(), name="unstructured-l1"), plan_of(Residual(), 0.0)):
        assert (plan.groups, plan.kept_whole, plan.proof) == (None, (), "")


def test_what_was_asked_of_a_grouped_layer_is_of_the_layer():
    """At 0.25 a convolution of 16 channels is asked to keep 12, also where it has 4 groups (row 205)."""
    network = classify(conv(3, 16), nn.ReLU(), conv(16, 16, groups=4), nn.ReLU(), conv(16, 20), width=20)
    plan = plan_of(network, 0.25)
    asked = {name: layer.requested_outputs for name, layer in plan.layers.items()}
    assert asked == {"0": 12, "2": 12, "4": 15, "7": None}
    assert plan.widths == {"0": 12, "2": 12, "4": 14, "7": 10}


def test_what_was_asked_of_a_depthwise_layer_is_said_of_its_group():
    """A depthwise convolution has the width of the layer before it; what was asked stands there."""
    network = classify(conv(3, 16), nn.ReLU(), conv(16, 16, groups=16), nn.ReLU(), conv(16, 20), width=20)
    plan = plan_of(network, 0.25)
    assert plan.layers["0"].requested_outputs == 12
    assert plan.widths == {"0": 12, "2": 12, "4": 14, "7": 10}

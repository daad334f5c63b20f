"""Faults of torch-pruning do not reach users: our cut is right, or the group keeps its width, by name.

What torch-pruning does is pinned in `test_torch_pruning_faults.py`.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.pruning.graph import build_graph, group_of
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv
from tests.helpers.silenced_channels import assert_answers_as, silenced

EXAMPLE = torch.zeros(1, 3, 16, 16)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


def pruned(network, ratio=0.5, **fields):
    """Prune a copy of a network; return the dense one, the copy and its plan."""
    dense = network.eval()
    copied = copy.deepcopy(dense)
    return dense, copied, prune(copied, dense, MethodSpec(**fields), ratio, EXAMPLE, seed=0)


def classify(trunk, width):
    """Return a network of a trunk that ends in maps of this width, and a classifier."""
    return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def reordered(reorder):
    """Return a network between whose convolutions channels change places."""
    return ForwardNetwork(
        lambda m, x: m.c(m.b(reorder(F.relu(m.a(x)))).mean((2, 3))),
        a=conv(3, 16),
        b=conv(16, 16),
        c=nn.Linear(16, 10),
    )


def through_tokens(**layers):
    """Return a network whose layers run on the patches of an image, one after another."""

    def run(network, x):
        x = network.patches(x).flatten(2).transpose(1, 2)
        for name in layers:
            x = getattr(network, name)(x)
        return network.head(x.mean(1))

    return ForwardNetwork(run, patches=nn.Conv2d(3, 16, 4, 4), **layers, head=nn.Linear(16, 10))


class SelfAttention(nn.MultiheadAttention):
    """PyTorch's attention, of tokens to themselves."""

    def forward(self, x):
        """Attend: tokens (N, L, width) → (N, L, width)."""
        return super().forward(x, x, x, need_weights=False)[0]


def shuffle(x):
    """Let the channels of two halves alternate, as in a ShuffleNet."""
    return x.unflatten(1, (2, x.shape[1] // 2)).transpose(1, 2).flatten(1, 2)


REORDERED = {
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(3, 1),
    "shuffle": shuffle,
    "halves change places": lambda x: torch.cat([x[:, 8:], x[:, :8]], 1),
}
"""What puts channels in another order."""


def flattened_last():
    """Return a network that flattens its maps with the channels last."""

    def run(network, x):
        x = F.adaptive_avg_pool2d(F.relu(network.a(x)), 2).permute(0, 2, 3, 1).flatten(1)
        return network.c(F.relu(network.b(x)))

    return ForwardNetwork(run, a=conv(3, 16), b=nn.Linear(64, 16), c=nn.Linear(16, 10))


def with_buffer():
    """Return a network that multiplies its maps by factors that are no parameters."""
    network = ForwardNetwork(
        lambda m, x: m.c(m.b(m.a(x) * m.factor).mean((2, 3))),
        a=conv(3, 16),
        b=conv(16, 16),
        c=nn.Linear(16, 10),
    )
    network.register_buffer("factor", torch.rand(1, 16, 1, 1))
    return network


def with_position():
    """Return a network that adds a position map of (1, channels, height, width)."""
    network = ForwardNetwork(
        lambda m, x: m.c(m.b(m.a(x) + m.position).mean((2, 3))),
        a=conv(3, 16),
        b=conv(16, 16),
        c=nn.Linear(16, 10),
    )
    network.position = nn.Parameter(torch.rand(1, 16, 16, 16))
    return network


def two_branches(**layers):
    """Return a network that adds two convolutions of the image."""
    return ForwardNetwork(lambda m, x: m.c(F.relu(m.a(x) + m.b(x)).mean((2, 3))), **layers)


def gated():
    """Return a network whose maps are multiplied by one channel."""

    def run(network, x):
        x = network.a(x)
        return network.c(network.b(x * torch.sigmoid(network.gate(x))).mean((2, 3)))

    return ForwardNetwork(run, a=conv(3, 16), gate=conv(16, 1), b=conv(16, 16), c=nn.Linear(16, 10))


def split():
    """Return a network whose maps are split in halves that are multiplied."""

    def run(network, x):
        a, b = network.a(x).chunk(2, 1)
        return network.c(network.b(a * torch.sigmoid(b)).mean((2, 3)))

    return ForwardNetwork(run, a=conv(3, 32), b=conv(16, 16), c=nn.Linear(16, 10))


def tied():
    """Return a network of two convolutions that share one weight."""
    network = classify([conv(3, 16), conv(16, 16), nn.ReLU(), conv(16, 16), nn.ReLU()], 16)
    network[3].weight = network[1].weight
    return network


NETWORKS = {
    **{name: (lambda f=f: reordered(f), ["a"]) for name, f in REORDERED.items()},
    "flattened last": (flattened_last, ["a"]),
    "grouped": (lambda: classify([conv(3, 16), nn.ReLU(), conv(16, 16, groups=4), nn.ReLU()], 16), []),
    "transposed": (
        lambda: classify(
            [conv(3, 16), nn.ConvTranspose2d(16, 16, 2, 2, groups=2), nn.ReLU(), conv(16, 8), conv(8, 8)], 8
        ),
        ["0", "1"],
    ),
    "depthwise times two": (
        lambda: classify([conv(3, 16), nn.ReLU(), conv(16, 32, groups=16), nn.ReLU()], 32),
        ["0"],
    ),
    "as many groups as outputs": (
        lambda: classify([conv(3, 16), nn.ReLU(), conv(16, 8, groups=8), nn.ReLU(), conv(8, 8)], 8),
        ["2"],
    ),
    "layer norm over maps": (
        lambda: classify([conv(3, 16), nn.LayerNorm([16, 16, 16]), nn.ReLU(), conv(16, 8)], 8),
        ["0"],
    ),
    "statistics of instances": (
        lambda: classify([conv(3, 16), nn.InstanceNorm2d(16, track_running_stats=True), conv(16, 8)], 8),
        ["0"],
    ),
    "weight norm": (
        lambda: classify([nn.utils.parametrizations.weight_norm(conv(3, 16)), nn.ReLU(), conv(16, 8)], 8),
        [],
    ),
    "position map": (with_position, []),
    "buffer": (with_buffer, ["a"]),
    "frozen in front": (
        lambda: two_branches(a=conv(3, 16).requires_grad_(False), b=conv(3, 16), c=nn.Linear(16, 10)),
        [],
    ),
    "tied": (tied, []),
    "gate": (gated, ["gate"]),
    "split": (split, []),
}
"""Name → a network that torch-pruning cuts wrongly or not at all, and the roots of the groups kept whole."""


@pytest.mark.parametrize("ratio", [0.5, 0.9])
@pytest.mark.parametrize(("build", "whole"), NETWORKS.values(), ids=NETWORKS)
def test_what_is_cut_answers_as_the_dense_network(build, whole, ratio):
    """The cut network answers as the dense one without those channels; the rest keeps its width, by name."""
    dense, network, plan = pruned(build(), ratio)
    assert plan.proof == "exact"
    assert_answers_as(network, silenced(dense, plan))
    roots = {kept.root: kept.reason for kept in plan.kept_whole}
    assert set(roots) <= set(whole)
    assert all(roots.values())
    assert plan.widths != plan.dense_widths


@pytest.mark.parametrize("ratio", [0.5, 0.9])
def test_scales_of_a_layer_norm_stay_with_their_channels(ratio):
    """Of each channel that stays the norm keeps its own scale, however few they are."""
    network = through_tokens(norm=nn.LayerNorm(16), inner=nn.Linear(16, 16))
    with torch.no_grad():
        for tensor in (network.patches.bias, network.norm.weight):
            tensor.copy_(1 + torch.arange(16.0))
    _, network, plan = pruned(network, ratio)
    assert "layer norm" in plan.proof
    assert len(network.norm.weight) == plan.widths["patches"] < 16
    assert torch.equal(network.norm.weight, network.patches.bias)


class TestAttention:
    """Heads stay heads."""

    def test_each_head_loses_as_many(self):
        """Of 4 heads of PyTorch's attention each keeps 2 of 4 channels."""
        network = through_tokens(attention=SelfAttention(16, 4, batch_first=True))
        with torch.no_grad():
            network.patches.bias.copy_(torch.arange(16.0))
            network.patches.weight[4:8] *= 1e-3
        _, network, _ = pruned(network, 0.5)
        assert [sum(int(c) // 4 == head for c in network.patches.bias) for head in range(4)] == [2, 2, 2, 2]

    def test_attention_and_projection_are_both_cut(self):
        """The width within the heads and that of the projection's outputs are two groups."""
        network = through_tokens(attention=FusedAttention(), act=nn.ReLU(), inner=nn.Linear(16, 16))
        _, network, _ = pruned(network, 0.5)
        assert (network.attention.proj.in_features, network.attention.proj.out_features) == (8, 8)


class TestWidths:
    """A width follows from ratio, dense width, `round_to` and blocks alone."""

    @pytest.mark.parametrize(
        ("ratio", "round_to", "width"), [(0.5, 16, 16), (0.97, 2, 2), (0.97, 8, 8), (0.5, 2, 12)]
    )
    def test_no_layer_is_emptied_nor_skipped(self, ratio, round_to, width):
        """Where rounding down leaves nothing, one multiple stays."""
        network = classify([conv(3, 24), nn.ReLU(), conv(24, 24), nn.ReLU()], 24)
        _, network, _ = pruned(network, ratio, round_to=round_to)
        assert network[0].out_channels == width

    def test_a_quarter_of_four_blocks_is_a_quarter(self):
        """16 channels in 4 blocks, `round_to` 2: 12 stay."""
        network = classify([conv(3, 16), conv(16, 16, groups=4), nn.ReLU()], 16)
        _, network, _ = pruned(network, 0.25, round_to=2)
        assert network[1].out_channels == 12

    def test_blocks_of_unequal_numbers_both_divide_what_stays(self):
        """4 blocks of a norm, 6 of a convolution: of 24 channels 12 stay."""
        network = classify([conv(3, 24), nn.GroupNorm(4, 24), conv(24, 24, groups=6), nn.ReLU()], 24)
        _, network, plan = pruned(network, 0.25)
        assert network[0].out_channels == 12
        assert plan.proof == "statistics change: group norm"


class TestState:
    """What pruning leaves behind."""

    def test_nothing_is_left_in_torch_prunings_defaults(self):
        """One network's heads and blocks are not there for the next."""
        pruned(through_tokens(attention=FusedAttention(), inner=nn.Linear(16, 16)), 0.5)
        pruned(classify([conv(3, 16), conv(16, 16, groups=4), nn.ReLU()], 16), 0.5)
        assert [d for d in tp.BasePruner.__init__.__defaults__ if isinstance(d, dict) and d] == []

    def test_what_was_frozen_stays_frozen(self):
        """A frozen layer is cut with the others, and is frozen afterwards, and no other is."""
        network = two_branches(a=conv(3, 16).requires_grad_(False), b=conv(3, 16), c=nn.Linear(16, 10))
        _, network, _ = pruned(network, 0.5)
        assert [name for name, p in network.named_parameters() if not p.requires_grad] == [
            "a.weight",
            "a.bias",
        ]

    def test_tied_weights_stay_tied(self):
        """One parameter in two layers is one afterwards."""
        _, network, _ = pruned(tied(), 0.5)
        assert network[1].weight is network[3].weight
        assert network[1].out_channels == 8

    def test_a_second_step_behind_a_split_goes_on(self):
        """A chain of a quarter, then a half, is as wide as one step of a half."""
        dense, network, plan = pruned(split(), 0.25)
        assert network.a.out_channels == 24
        prune(network, dense, MethodSpec(), 0.5, EXAMPLE, seed=0, earlier=plan)
        assert network.a.out_channels == 16


def test_what_has_no_end_is_given_up():
    """A Gram matrix is not followed for ever: its group keeps its width, and all else is cut."""

    def run(network, x):
        x = F.relu(network.a(x))
        y = x.flatten(2)
        return network.c(F.relu(network.b((y @ y.transpose(1, 2)).flatten(1))))

    network = ForwardNetwork(run, a=conv(3, 8), b=nn.Linear(64, 16), c=nn.Linear(16, 10))
    _, network, plan = pruned(network, 0.5)
    assert (network.a.out_channels, network.b.out_features) == (8, 8)
    assert "a" in {kept.root for kept in plan.kept_whole}


def test_a_group_of_a_million_indices_is_found():
    """A group ends with the network, however deep and wide: only time limits what is looked for."""
    depth, width = 300, 3500
    network = nn.Sequential(nn.Linear(4, width), *[nn.ReLU() for _ in range(depth)], nn.Linear(width, 2))
    group = group_of(build_graph(network, torch.zeros(1, 4)), network[0], list(range(width)))
    assert sum(len(indices) for _, indices in group) > 1_000_000


def test_a_network_that_cannot_be_cut_says_why():
    """Where no group can be cut there is one error that names groups and reasons."""
    network = classify([conv(3, 16), nn.ConvTranspose2d(16, 16, 2, 2, groups=2), nn.ReLU()], 16)
    with pytest.raises(PruningError, match=r"nothing in this model can be pruned.*1: "):
        pruned(network, 0.5)

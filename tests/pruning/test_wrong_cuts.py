"""A cut that is an index off is seen: its group keeps its width, by name, and all else is cut.

torch-pruning's function for one kind of layer is replaced by one that takes the next channel.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv
from tests.helpers.off_by_one import OffByOne, shifted, width_of
from tests.helpers.silenced_channels import assert_answers_as, silenced

EXAMPLE = torch.zeros(1, 3, 16, 16)
WIDTH = 16


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


def pruned(dense):
    """Prune half of a copy; return it and its plan."""
    network = copy.deepcopy(dense.eval())
    return network, prune(network, dense, MethodSpec(), 0.5, EXAMPLE, seed=0)


def convolutions():
    """Return a network of convolutions, one of them depthwise, a norm, and linear layers behind a flatten."""

    def run(network, x):
        x = F.relu(network.norm(network.a(x)))
        x = F.relu(network.c(F.relu(network.depthwise(F.relu(network.b(x))))))
        x = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return network.head(F.relu(network.g(F.relu(network.f(x)))))

    return ForwardNetwork(
        run,
        a=conv(3, WIDTH),
        norm=nn.BatchNorm2d(WIDTH),
        b=conv(WIDTH, WIDTH),
        depthwise=conv(WIDTH, WIDTH, groups=WIDTH),
        c=conv(WIDTH, WIDTH),
        f=nn.Linear(4 * WIDTH, WIDTH),
        g=nn.Linear(WIDTH, WIDTH),
        head=nn.Linear(WIDTH, 10),
    )


def between_convolutions(layer):
    """Return a network of two convolutions, with a layer between them."""
    return ForwardNetwork(
        lambda m, x: m.c(F.relu(m.b(torch.tanh(m.layer(m.a(x))))).mean((2, 3))),
        a=conv(3, WIDTH),
        layer=layer,
        b=conv(WIDTH, WIDTH),
        c=nn.Linear(WIDTH, 10),
    )


def tokens(attention=None):
    """Return a network of tokens with positions, an attention if there is one, a norm and an MLP."""

    def run(network, x):
        x = network.patches(F.relu(network.stem(x))).flatten(2).transpose(1, 2)
        x = x + network.position + network.table(torch.arange(x.shape[1]))
        if attention is not None:
            x = x + network.attention(x)
        return network.head((x + network.outer(F.relu(network.inner(network.norm(x))))).mean(1))

    layers = {} if attention is None else {"attention": attention}
    network = ForwardNetwork(
        run,
        stem=conv(3, WIDTH),
        patches=nn.Conv2d(WIDTH, WIDTH, 4, 4),
        table=nn.Embedding(16, WIDTH),
        **layers,
        norm=nn.LayerNorm(WIDTH),
        inner=nn.Linear(WIDTH, 2 * WIDTH),
        outer=nn.Linear(2 * WIDTH, WIDTH),
        head=nn.Linear(WIDTH, 10),
    )
    network.position = nn.Parameter(torch.randn(1, 16, WIDTH))
    return network


class OwnAttention(nn.MultiheadAttention):
    """PyTorch's attention, of tokens to themselves."""

    def forward(self, x):
        """Attend: tokens (N, L, width) → (N, L, width)."""
        return super().forward(x, x, x, need_weights=False)[0]


class TimmAttention(nn.Module):
    """Attention as timm has it: a width of its heads, and a scale, kept as numbers."""

    def __init__(self, heads=4):
        """Make the layers."""
        super().__init__()
        self.num_heads, self.head_dim = heads, WIDTH // heads
        self.attn_dim, self.scale = WIDTH, (WIDTH // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        """Attend: tokens (N, L, width) → (N, L, width)."""
        images, count, _ = x.shape
        qkv = self.qkv(x).reshape(images, count, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = (q * self.scale @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(images, count, self.attn_dim))


class WindowAttention(nn.Module):
    """Attention as torchvision's Swin has it: its weights are given to functions."""

    def __init__(self, heads=4):
        """Make the layers."""
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        """Attend: tokens (N, L, width) → (N, L, width)."""
        images, count, width = x.shape
        qkv = F.linear(x, self.qkv.weight, self.qkv.bias)
        qkv = qkv.reshape(images, count, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        x = (q * (width // self.num_heads) ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        return F.linear(x.transpose(1, 2).reshape(images, count, -1), self.proj.weight, self.proj.bias)


def shared():
    """Return a network of two convolutions that share one weight, and one beside them."""
    network = ForwardNetwork(
        lambda m, x: m.c(F.relu(m.beside(F.relu(m.second(F.relu(m.first(F.relu(m.a(x)))))))).mean((2, 3))),
        a=conv(3, WIDTH),
        first=conv(WIDTH, WIDTH),
        second=conv(WIDTH, WIDTH),
        beside=conv(WIDTH, WIDTH),
        c=nn.Linear(WIDTH, 10),
    )
    network.second.weight = network.first.weight
    return network


@dataclass(frozen=True)
class Fault:
    """A function of torch-pruning that is an index off, and a network in which some groups have it."""

    build: Callable[[], nn.Module]
    double: OffByOne
    whole: frozenset[str]  # layers whose group has the fault


def fault(build, kind, direction, whole, every=1):
    """Return a fault; its layers in one text."""
    return Fault(build, OffByOne(kind, direction, every), frozenset(whole.split()))


STREAM = "patches outer"
ATTENTIONS = {
    "fused attention": (FusedAttention, "attention.qkv", "attention.proj"),
    "attention of timm": (TimmAttention, "attention.qkv", "attention.proj"),
    "window attention": (WindowAttention, "attention.qkv", "attention.proj"),
}
"""Name → class, the layer that gives queries, keys and values, and the last one, which is of the stream."""

FAULTS = {
    "convolution, inputs": fault(convolutions, "Conv", "in", "a b depthwise"),
    "convolution, outputs": fault(convolutions, "Conv", "out", "a b depthwise c"),
    "norm": fault(convolutions, "Batchnorm", "both", "a"),
    "depthwise": fault(convolutions, "DepthwiseConv", "both", "b depthwise"),
    "linear, inputs, one behind a flatten": fault(convolutions, "Linear", "in", "c f g"),
    "linear, outputs": fault(convolutions, "Linear", "out", "f g"),
    "group norm": fault(lambda: between_convolutions(nn.GroupNorm(4, WIDTH)), "GroupNorm", "both", "a"),
    "slopes": fault(lambda: between_convolutions(nn.PReLU(WIDTH)), "PReLU", "both", "a"),
    "layer norm": fault(tokens, "Layernorm", "both", STREAM),
    "parameter": fault(tokens, "Parameter", "both", STREAM),
    "embedding": fault(tokens, "Embedding", "both", STREAM),
    "shared weight": fault(shared, "Conv", "out", "a first second", every=2),
    "PyTorch's attention": fault(
        lambda: tokens(OwnAttention(WIDTH, 4, batch_first=True)),
        "MultiheadAttention",
        "both",
        f"{STREAM} attention.out_proj",
    ),
    **{
        f"{name}, {direction}puts": fault(
            lambda kind=kind: tokens(kind()),
            "Linear",
            direction,
            f"{STREAM} inner {qkv} {last}",
        )
        for name, (kind, qkv, last) in ATTENTIONS.items()
        for direction in ("in", "out")
    },
}
"""Name → a fault."""


def cut_layers(plan):
    """Return the names of the layers that lost outputs."""
    return {name for name, width in plan.widths.items() if width < plan.dense_widths[name]}


@pytest.mark.parametrize("how_many", ["all", "one"])
@pytest.mark.parametrize("wrong", FAULTS.values(), ids=FAULTS)
def test_a_cut_that_is_an_index_off_is_not_made(wrong, how_many, monkeypatch):
    """Groups with the fault keep their width, with a reason; those without are cut, and answer right."""
    dense = wrong.build()
    _, right = pruned(dense)
    calls = replace(wrong.double, how_many=how_many).install(monkeypatch)
    network, plan = pruned(dense)
    assert calls
    assert cut_layers(right) - cut_layers(plan) == wrong.whole
    reasons = {layer: kept.reason for kept in plan.kept_whole for layer in kept.layers}
    assert all(reasons.get(layer, reasons.get(layer.rpartition(".")[0])) for layer in wrong.whole)
    assert cut_layers(plan)
    assert plan.proof == "exact"
    assert_answers_as(network, silenced(dense, plan))


def test_indices_that_are_all_off_alike_are_no_fault(monkeypatch):
    """Where all layers of a group lose the next channel, other channels go, and nothing is wrong."""
    right = tp.dependency.Dependency.__call__

    def cut(dependency, idxs):
        width = width_of(dependency)  # None: of an operation that has none
        return right(dependency, shifted(idxs, width) if width else idxs)

    dense = between_convolutions(nn.BatchNorm2d(WIDTH))
    _, usual = pruned(dense)
    monkeypatch.setattr(tp.dependency.Dependency, "__call__", cut)
    network, plan = pruned(dense)
    assert cut_layers(plan) == cut_layers(usual) == {"a", "b"}
    assert plan.tensors != usual.tensors or plan.indices != usual.indices
    assert_answers_as(network, silenced(dense, plan))

"""A cut that is an index off is seen: its group keeps its width, by name, and all else is cut.

torch-pruning's function for one kind of layer is replaced by one that takes the next channel.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv
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
    kind: str  # of layers that are cut wrongly
    direction: str  # out, in; or both, where one function is for both
    whole: frozenset[str]  # layers of which a group has the fault
    every: int = 1  # how many calls there are to a wrong one

    def has(self, dependency):
        """Tell whether a cut is done by the wrong function."""
        pruner = dependency.handler.__self__
        return type(pruner) is getattr(tp.function, f"{self.kind}Pruner") and (
            self.direction == "both" or dependency.handler.__name__ == f"prune_{self.direction}_channels"
        )


def of(build, kind, direction, whole, every=1):
    """Return a fault; the layers in one text."""
    return Fault(build, kind, direction, frozenset(whole.split()), every)


STREAM = "patches outer"
ATTENTIONS = {
    "fused attention": (FusedAttention, "attention.qkv", "attention.proj"),
    "attention of timm": (TimmAttention, "attention.qkv", "attention.proj"),
    "window attention": (WindowAttention, "attention.qkv", "attention.proj"),
}
"""Name → class, the layer that gives queries, keys and values, and the last one, which is of the stream."""

FAULTS = {
    "convolution, inputs": of(convolutions, "Conv", "in", "a b depthwise"),
    "convolution, outputs": of(convolutions, "Conv", "out", "a b depthwise c"),
    "norm": of(convolutions, "Batchnorm", "both", "a"),
    "depthwise": of(convolutions, "DepthwiseConv", "both", "b depthwise"),
    "linear, inputs, one behind a flatten": of(convolutions, "Linear", "in", "c f g"),
    "linear, outputs": of(convolutions, "Linear", "out", "f g"),
    "group norm": of(lambda: between_convolutions(nn.GroupNorm(4, WIDTH)), "GroupNorm", "both", "a"),
    "slopes": of(lambda: between_convolutions(nn.PReLU(WIDTH)), "PReLU", "both", "a"),
    "layer norm": of(tokens, "Layernorm", "both", STREAM),
    "parameter": of(tokens, "Parameter", "both", STREAM),
    "embedding": of(tokens, "Embedding", "both", STREAM),
    "shared weight": of(shared, "Conv", "out", "a first second", every=2),
    "PyTorch's attention": of(
        lambda: tokens(OwnAttention(WIDTH, 4, batch_first=True)),
        "MultiheadAttention",
        "both",
        f"{STREAM} attention.out_proj",
    ),
    **{
        f"{name}, {direction}puts": of(
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


@pytest.fixture
def make_wrong(monkeypatch):
    """Let torch-pruning take the next channel: in the place of each of a call, or of one."""
    right = tp.dependency.Dependency.__call__

    def make(fault, how_many):
        calls = []

        def cut(dependency, idxs):
            if fault.has(dependency):
                calls.append(dependency)
                if len(calls) % fault.every == 0:
                    idxs = shifted(idxs, width_of(dependency), how_many)
            return right(dependency, idxs)

        monkeypatch.setattr(tp.dependency.Dependency, "__call__", cut)
        return calls

    return make


def width_of(dependency):
    """Return how many channels there are to cut."""
    pruner = dependency.handler.__self__
    pruner.pruning_dim = dependency.target.pruning_dim  # as torch-pruning does it
    return getattr(pruner, dependency.handler.__name__.replace("prune", "get"))(dependency.target.module)


def shifted(idxs, width, how_many):
    """Return the next channels in the place of all, or of the first that has one beside it that stays."""
    if how_many == "all":
        return sorted((index + 1) % width for index in idxs)
    for index in sorted(idxs):
        if (index + 1) % width not in idxs:
            return sorted({*idxs, (index + 1) % width} - {index})
    raise AssertionError("all channels would go")


def cut_layers(plan):
    """Return the names of the layers that lost outputs."""
    return {name for name, width in plan.widths.items() if width < plan.dense_widths[name]}


@pytest.mark.parametrize("how_many", ["all", "one"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_cut_that_is_an_index_off_is_not_made(fault, how_many, make_wrong):
    """Groups with the fault keep their width, with a reason; those without are cut, and answer right."""
    dense = fault.build()
    _, right = pruned(dense)
    calls = make_wrong(fault, how_many)
    network, plan = pruned(dense)
    assert calls
    assert cut_layers(right) - cut_layers(plan) == fault.whole
    reasons = {layer: kept.reason for kept in plan.kept_whole for layer in kept.layers}
    assert all(reasons.get(layer, reasons.get(layer.rpartition(".")[0])) for layer in fault.whole)
    assert cut_layers(plan)
    assert plan.proof == "exact"
    assert_answers_as(network, silenced(dense, plan))


def test_indices_that_are_all_off_alike_are_no_fault(monkeypatch):
    """Where all layers of a group lose the next channel, other channels go, and nothing is wrong."""
    right = tp.dependency.Dependency.__call__

    def cut(dependency, idxs):
        width = width_of(dependency)  # None: of an operation that has none
        return right(dependency, shifted(idxs, width, "all") if width else idxs)

    dense = between_convolutions(nn.BatchNorm2d(WIDTH))
    _, usual = pruned(dense)
    monkeypatch.setattr(tp.dependency.Dependency, "__call__", cut)
    network, plan = pruned(dense)
    assert cut_layers(plan) == cut_layers(usual) == {"a", "b"}
    assert plan.tensors != usual.tensors or plan.indices != usual.indices
    assert_answers_as(network, silenced(dense, plan))

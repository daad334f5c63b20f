"""Channels of tokens that are split, joined, gated, or given to heads: also behind learned positions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec
from pruning_core.models.copying import copy_network
from pruning_core.pruning.base import PER_HEAD
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.step import prune
from tests.helpers.forward_networks import conv

EXAMPLE = torch.zeros(1, 3, 16, 16)
WIDTH, TOKENS = 16, 256


class Tokens(nn.Module):
    """A stem that makes tokens, with learned positions or without, something, and a head."""

    def __init__(
        self, body: Callable[[nn.Module, Tensor], Tensor], positions: bool, **layers: nn.Module
    ) -> None:
        super().__init__()
        self.stem, self.norm, self.head = conv(3, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)
        self.positions = nn.Parameter(torch.randn(1, TOKENS, WIDTH)) if positions else None
        self.layers, self._body = nn.ModuleDict(layers), body

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 16, 16) → logits (N, 10)."""
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        if self.positions is not None:
            tokens = tokens + self.positions
        return self.head(self._body(self.layers, self.norm(tokens)).mean(1))


def cut(network: nn.Module) -> ChannelPlan:
    """Prune to half; the network that was given stays as it is."""
    method = MethodSpec(name="magnitude", schedule="one-shot", round_to=2)
    return prune(copy_network(network), network, method, 0.5, EXAMPLE, seed=0)


def halves(split: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return a gated block: one half of `a` gates the other."""

    def run(m: nn.Module, x: Tensor) -> Tensor:
        gate, value = split(m["a"](x))
        return x + m["b"](F.silu(gate) * value)

    return run


def joined(dimension: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return a block that joins the outputs of two layers."""
    return lambda m, x: x + m["b"](torch.cat((F.relu(m["a"](x)), F.relu(m["c"](x))), dimension))


def written_into(m: nn.Module, x: Tensor) -> Tensor:
    """Write into what a layer gave for tokens: that is a view."""
    y = m["b"](F.relu(m["a"](x), inplace=True))
    y += x
    return y


def thirds(m: nn.Module, x: Tensor) -> Tensor:
    """Split into three, and use them in another order."""
    u, v, w = m["a"](x).chunk(3, 2)
    return x + m["b"](F.relu(w) * v + u)


BLOCKS = {
    "chunk, last": (halves(lambda y: y.chunk(2, -1)), (32, WIDTH)),
    "chunk, by number": (halves(lambda y: y.chunk(2, dim=2)), (32, WIDTH)),
    "split": (halves(lambda y: y.split(y.shape[-1] // 2, -1)), (32, WIDTH)),
    "slices, negative": (
        halves(lambda y: (y[..., : y.shape[-1] // 2], y[..., -(y.shape[-1] // 2) :])),
        (32, WIDTH),
    ),
    "glu": (lambda m, x: x + m["b"](F.glu(m["a"](x))), (32, WIDTH)),
    "three": (thirds, (48, WIDTH)),
    "joined, last": (joined(-1), (24, 32)),
    "joined, by number": (joined(2), (24, 32)),
    "written into": (written_into, (24, 24)),
}


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_split_joined_or_written_into_is_cut(name: str, positions: bool) -> None:
    """torch-pruning joins and splits nothing behind a parameter of three dimensions; all of it is cut."""
    body, (outputs, inputs) = BLOCKS[name]
    layers = {
        "a": nn.Linear(WIDTH, outputs),
        "b": nn.Linear(inputs if "glu" in name else _taken(name), WIDTH),
    }
    if name.startswith("joined"):
        layers["c"] = nn.Linear(WIDTH, 8)
    plan = cut(Tokens(body, positions, **layers))
    assert plan.kept_whole == ()
    assert {n: plan.widths[n] * 2 for n in plan.widths if n != "head"} == {
        n: plan.dense_widths[n] for n in plan.widths if n != "head"
    }


def _taken(name: str) -> int:
    return {"joined, last": 32, "joined, by number": 32, "written into": 24}.get(name, WIDTH)


class BiasedAttention(nn.Module):
    """Attention whose scores get a bias for each head from a small network (Swin V2)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.bias = nn.Sequential(nn.Linear(2, 24), nn.ReLU(inplace=True), nn.Linear(24, heads, bias=False))
        self.scale = nn.Parameter(torch.ones(heads, 1, 1))
        self.register_buffer("offsets", torch.randn(1, 1, TOKENS, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Attend: tokens (N, 256, width) → the same."""
        images, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(images, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        scores = F.normalize(qkv[0], dim=-1) @ F.normalize(qkv[1], dim=-1).transpose(-2, -1)
        bias = self.bias(self.offsets).view(tokens, self.num_heads).permute(1, 0).unsqueeze(1)
        attended = ((scores * self.scale + 16 * bias.sigmoid()).softmax(-1) @ qkv[2]).transpose(1, 2)
        return self.proj(attended.reshape(images, tokens, -1))


class TableAttention(nn.Module):
    """Attention of tokens in windows, whose scores get biases from a table; products of many dimensions."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.n_heads, self.head_dim = heads, WIDTH // heads
        self.to_qkv, self.merge = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.table = nn.Parameter(torch.randn(31, heads))
        self.register_buffer("rows", (torch.arange(16)[:, None] - torch.arange(16)) % 31)

    def forward(self, x: Tensor) -> Tensor:
        """Attend in windows of 16: tokens (N, 256, width) → the same."""
        images, tokens, width = x.shape
        windows = x.reshape(images, tokens // 16, 16, width)
        shape = (images, tokens // 16, 16, self.n_heads, width // self.n_heads)
        q, k, v = (y.reshape(shape).permute(0, 1, 3, 2, 4) for y in self.to_qkv(windows).chunk(3, dim=-1))
        bias = self.table[self.rows.view(-1)].view(16, 16, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        scores = (torch.einsum("bghid,bghjd->bghij", q, k) + bias).softmax(-1)
        attended = torch.einsum("bghij,bghjd->bghid", scores, v).permute(0, 1, 3, 2, 4)
        return self.merge(attended.reshape(images, tokens, width))


@pytest.mark.parametrize("heads", [2, 4])
def test_a_table_with_a_column_for_each_head_stays(heads: int) -> None:
    """Biases of scores are no channels, also where they are a parameter."""
    network = Tokens(lambda m, x: x + m["attention"](x), False, attention=TableAttention(heads))
    plan = cut(network)
    assert plan.kept_whole == ()
    assert plan.widths["layers.attention.to_qkv"] == 24
    assert "layers.attention.table" not in (plan.tensors or {})


@pytest.mark.parametrize("heads", [2, 4])
def test_what_gives_a_number_for_each_head_stays_and_all_else_is_cut(heads: int) -> None:
    """Its outputs are no channels of what is attended to; the hidden layer before it is cut."""
    network = Tokens(lambda m, x: x + m["attention"](x), False, attention=BiasedAttention(heads))
    plan = cut(network)
    assert [(kept.root, kept.reason) for kept in plan.kept_whole] == [("layers.attention.bias.2", PER_HEAD)]
    assert plan.widths["layers.attention.bias.0"] == 12
    assert plan.widths["layers.attention.qkv"] == 24

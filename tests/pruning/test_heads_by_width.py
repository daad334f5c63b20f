"""Attention over reduced tokens (PVT): what only a number binds to the heads is cut in step with them."""

import copy

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.cost import count_cost
from pruning_core.pruning.step import prune
from tests.helpers.forward_networks import conv

EXAMPLE = torch.zeros(1, 3, 8, 8)
WIDTH = 40


class ReducedAttention(nn.Module):
    """Queries of all tokens, keys and values of fewer, which a convolution makes."""

    def __init__(self, heads: int) -> None:
        """Make the layers."""
        super().__init__()
        self.num_heads = heads
        self.q, self.kv, self.proj = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.Linear(WIDTH, WIDTH),
        )
        self.reduce = nn.Conv2d(WIDTH, WIDTH, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend: tokens (N, 64, width) → the same."""
        images, tokens, width = x.shape
        heads = (self.num_heads, width // self.num_heads)
        q = self.q(x).reshape(images, tokens, *heads).permute(0, 2, 1, 3)
        fewer = self.reduce(x.permute(0, 2, 1).reshape(images, width, 8, 8)).reshape(images, width, -1)
        k, v = self.kv(fewer.permute(0, 2, 1)).reshape(images, -1, 2, *heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).reshape(images, tokens, width))


class Reduced(nn.Module):
    """One block of it between a stem and a head."""

    def __init__(self, heads: int) -> None:
        """Make the layers."""
        super().__init__()
        self.stem, self.attention, self.head = conv(3, WIDTH), ReducedAttention(heads), nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 8, 8) → logits (N, 10)."""
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        return self.head((tokens + self.attention(tokens)).mean(1))


@pytest.mark.parametrize("heads", [1, 5])
@pytest.mark.parametrize("round_to", [1, 2])
def test_all_is_cut_at_every_ratio(round_to: int, heads: int) -> None:
    """Also where the ratio gives a width that the heads do not divide; and never more at a higher ratio."""
    torch.manual_seed(0)
    dense, macs = Reduced(heads).eval(), []
    for ratio in (0.25, 0.4, 0.5, 0.6, 0.71, 0.8):
        network = copy.deepcopy(dense)
        plan = prune(network, dense, MethodSpec(round_to=round_to), ratio, EXAMPLE, seed=0)
        assert plan.kept_whole == (), ratio
        assert plan.widths["attention.reduce"] == plan.widths["stem"] <= max(10, WIDTH * (1 - ratio))
        macs.append(count_cost(network, EXAMPLE).macs)
    assert macs == sorted(macs, reverse=True)

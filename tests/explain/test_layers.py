"""What each layer computes and moves."""

import torch
from torch import Tensor, nn

from pruning_core.explain.layers import LayerWork, count_work, layers_of
from pruning_core.models import build_model
from pruning_core.pruning.cost import count_cost


def test_the_layers_compute_all_products_of_a_network() -> None:
    """No product of a ResNet is missed, and none is counted twice."""
    network, example = build_model("resnet18", 10, (3, 32, 32)), torch.zeros(1, 3, 32, 32)
    work = count_work(network, example)
    assert sum(layer.macs for layer in work.values()) == count_cost(network, example).macs_products
    # 3 × 32 × 32 numbers in, 64 × 32 × 32 out.
    assert work["conv1"] == LayerWork(3 * 64 * 9 * 1024, (3 + 64) * 1024, 3 * 64 * 9)


class Attending(nn.Module):
    """An attention, and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.twice = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 8)."""
        x = self.attention(x, x, x, need_weights=False)[0]
        return self.twice(self.twice(x)).mean(1)


def test_an_attention_is_one_layer_and_reads_one_tensor_once() -> None:
    """What it holds is part of it; queries, keys and values are the same numbers here."""
    network, example = Attending(), torch.zeros(1, 5, 8)
    assert list(layers_of(network)) == ["attention", "twice"]
    work = count_work(network, example)
    assert work["attention"].activations == 2 * 5 * 8
    assert work["attention"].macs == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8
    assert work["twice"].macs == 2 * 5 * 8 * 8


def test_counting_leaves_no_trace() -> None:
    """The network has no hook afterwards, and its mode is as before."""
    network = build_model("resnet18", 10, (3, 32, 32)).train()
    count_work(network, torch.zeros(1, 3, 32, 32))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())

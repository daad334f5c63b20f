"""A network may be built with infinite numbers, as attention masks are; it may not become infinite."""

import pytest
import torch
from torch import nn

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import ModelError
from pruning_core.models import build_model
from pruning_core.models.finite import infinite_by_design, is_damaged
from pruning_core.models.weights import build_with_weights
from pruning_core.pipeline import ensure_variant
from tests.helpers.small_runs import open_workspace

MASKED = """
import torch
from torch import nn
from torch.nn import functional


class Masked(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 8, stride=8)
        self.qkv = nn.Linear(16, 48)
        self.head = nn.Linear(16, classes)
        self.register_buffer("mask", torch.full((16, 16), float("-inf")).triu(1))

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.head((x + functional.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)).mean(1))


def build(classes, channels):
    return Masked(classes, channels)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a network with a mask of −inf."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "masked_nets.py").write_text(MASKED)
    return "masked_nets:build"


def test_a_network_with_a_mask_is_trained_pruned_and_resumed(model, tmp_path):
    """The mask is no weight that has become infinite."""
    train = {"epochs": 2, "batch_size": 16, "precision": "fp32"}
    grid = make_grid({"model": model, "ratios": "0.5", "train": train, "fine_tune": train})
    workspace = open_workspace(tmp_path)
    dense, pruned = (ensure_variant(variant, grid, workspace) for variant in variants(grid))
    assert pruned.metrics.macs < dense.metrics.macs


@pytest.mark.parametrize(
    ("value", "where"),
    [(float("nan"), "mask"), (0.0, ""), (float("inf"), "head.bias"), (float("nan"), "head.bias")],
)
def test_a_file_of_weights_may_have_the_mask_and_no_more(model, tmp_path, value, where):
    """NaN is refused anywhere, infinity where the network is built without."""
    network = build_model(model, 10, (3, 32, 32))
    if where:
        network.state_dict()[where].view(-1)[0] = value
    torch.save(network.state_dict(), tmp_path / "w.pt")
    choice = WeightsChoice(source=str(tmp_path / "w.pt"))
    if where:
        with pytest.raises(ModelError, match=f"{where} holds what is no finite number"):
            build_with_weights(model, choice, 10, (3, 32, 32))
    else:
        build_with_weights(model, choice, 10, (3, 32, 32))


def test_what_is_infinite_elsewhere_than_by_design_is_damaged():
    """A running statistic that overflowed is found, and so is a mask that lost a place."""
    network = nn.BatchNorm1d(2)
    network.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    by_design = infinite_by_design(network)
    assert set(by_design) == {"mask"}
    assert not is_damaged("mask", network.mask, by_design)
    assert is_damaged("mask", network.mask.flip(0), by_design)
    assert is_damaged("running_var", torch.tensor([1.0, float("inf")]), by_design)
    network.running_var[0] = float("inf")
    assert set(infinite_by_design(network)) == {"mask"}, "a statistic is never so by design"
    assert not is_damaged("num_batches_tracked", torch.tensor(3), by_design)

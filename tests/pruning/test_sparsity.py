"""Weights that are zero: which, and how many."""

from collections import OrderedDict

import torch
from torch import nn

from pruning_core.pruning.sparsity import sparsity_of, zeros_of


def test_zeros_and_sparsity_of_a_network():
    """Zeros are found in weights of Conv2d and Linear only; sparsity is their share of those weights."""
    network = nn.Sequential(OrderedDict(a=nn.Conv2d(1, 4, 1), norm=nn.BatchNorm2d(4), fc=nn.Linear(4, 3)))
    assert zeros_of(network) == {}
    assert sparsity_of(network) == 0.0
    with torch.no_grad():
        network.a.weight[[0, 2]] = 0.0
        network.a.weight[2] = -0.0  # what a mask leaves of a negative weight
        network.norm.weight.zero_()
        network.fc.bias.zero_()
    zeros = zeros_of(network)
    assert list(zeros) == ["a.weight"]
    assert zeros["a.weight"].dtype == torch.bool
    assert zeros["a.weight"].flatten().tolist() == [True, False, True, False]
    assert sparsity_of(network) == 2 / (4 + 12)
    assert sparsity_of(nn.ReLU()) == 0.0
    assert list(zeros_of(network.a)) == ["weight"]


def test_weights_that_layers_share_count_once():
    """One parameter under two layers is one weight, under its first name."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    nn.init.zeros_(network[0].weight)
    assert list(zeros_of(network)) == ["0.weight"]
    assert sparsity_of(network) == 1.0

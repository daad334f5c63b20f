"""A network whose unnecessary channels are known, and penalties on it."""

import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning import find_method, find_penalty
from pruning_core.pruning.channel_weights import find_channel_groups
from pruning_core.pruning.penalty import Regularization

DEAD = (4, 5)
"""Channels of `half_dead` that are never active, so that no loss has a gradient for them."""


def half_dead():
    """Return a network of six channels, two of which answer 0 to whatever they get."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    with torch.no_grad():
        network[1].bias[list(DEAD)] = -100.0
    return network


def groups_of(name, network, example=None, **fields):
    """Return the groups of a network that a method can cut, with their weights."""
    spec = MethodSpec(name=name, **{"round_to": 1, **fields})
    example = torch.zeros(1, 3, 32, 32) if example is None else example
    return find_channel_groups(network, spec, example, find_method(name).importance())


def regularization(name, network, strength=None, growth=2.0, **fields):
    """Return what a training with the penalty of a method is told."""
    kind = find_penalty(name)
    strength = kind.default_strength if strength is None else strength
    return Regularization(kind, groups_of(name, network, **fields), strength, growth)


def gradients_of(network, push):
    """Return what a function adds to gradients that are 0: parameter → gradient."""
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        push()
    return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}

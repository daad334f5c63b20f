"""A small network, masks on it, and counts of its zeros."""

import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning import METHODS
from pruning_core.pruning.base import Outcome, PruningStep
from tests.helpers.factories import Tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)
CONVOLUTIONS = ("stem", "inner", "outer")  # all of Tiny that may be masked
UNSTRUCTURED = ("unstructured-l1", "unstructured-random")
PATTERNED = ("semi-structured", "block-sparse")
"""Their zeros lie in patterns, and so are not just as many as asked for (`test_pattern_masks.py`)."""
MASKING = [name for name, method in METHODS.items() if method.masks and name not in PATTERNED]


def build_tiny(seed=0):
    """Build the small network from a seed, and leave the generator alone: what is drawn later shows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tiny()


def mask(network, name, ratio, seed=0, **fields):
    """Mask a network to a ratio of its weights or channels, its last layer named fc protected."""
    spec = MethodSpec(name=name, **fields)
    step = PruningStep(spec, ratio, network, EXAMPLE, protected={"fc": "it makes the logits"}, seed=seed)
    assert METHODS[name].prune(network, step) == Outcome()  # no width was asked for
    return network


def zero_count(layer):
    """Count a layer's zero weights."""
    return int((layer.weight == 0).sum())


def zero_channels(layer):
    """Count a layer's output channels whose weights are all zero."""
    return int((~layer.weight.flatten(1).any(dim=1)).sum())


def as_fine_tuned(network):
    """Change every weight that is not zero, by chance, as a fine-tuning does that holds the zeros."""
    with torch.no_grad():
        for name in CONVOLUTIONS:
            weight = network.get_submodule(name).weight
            weight.mul_(torch.rand_like(weight) + 0.5)
    return network

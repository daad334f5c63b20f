"""A step of pruning: when it is exhausted."""

import torch

from pruning_core.chain import cutting
from pruning_core.pruning import preview
from pruning_core.pruning.step import extent_of, is_exhausted
from tests.helpers.factories import Tiny


def test_what_exhausted_means_is_said_once():
    """`plan` and the pipeline ask one function whether a step removed nothing, norms' widths included."""
    assert preview.is_exhausted is cutting.is_exhausted is is_exhausted
    network = Tiny()
    before = extent_of(network)
    assert is_exhausted(network, before)
    network.norm.running_mean = network.norm.running_mean[1:]
    assert not is_exhausted(network, before)
    network = Tiny()
    with torch.no_grad():
        network.inner.weight[0] = 0.0
    assert not is_exhausted(network, before)

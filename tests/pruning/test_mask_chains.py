"""Chains of masks: zeros grow and stay through fine-tuning, and the network stays a plain one."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.sparsity import zeros_of
from pruning_core.pruning.step import prune
from tests.helpers.factories import Tiny
from tests.helpers.mask_networks import (
    CONVOLUTIONS,
    EXAMPLE,
    MASKING,
    UNSTRUCTURED,
    as_fine_tuned,
    build_tiny,
    mask,
    zero_channels,
    zero_count,
)


class TestChain:
    """Zeros only grow, and the ratio counts them all."""

    @pytest.mark.parametrize("scope", ["local", "global"])
    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_weights(self, name, scope):
        """0.5 → 0.75 → 0.9 has round(ratio × weights) zeros at each step, the earlier ones among them."""
        network = build_tiny()
        before = {}
        for ratio in (0.5, 0.75, 0.9):
            as_fine_tuned(mask(network, name, ratio, scope=scope))
            layers = [network.get_submodule(layer) for layer in CONVOLUTIONS]
            wanted = [layer.weight.numel() for layer in layers]
            if scope == "global":
                assert sum(map(zero_count, layers)) == round(ratio * sum(wanted))
            else:
                assert [zero_count(layer) for layer in layers] == [round(ratio * n) for n in wanted]
            after = zeros_of(network)
            assert all(after[parameter][zero].all() for parameter, zero in before.items())
            before = after

    def test_channels(self):
        """0.5 → 0.75 → 0.9 has round(ratio × channels) zero channels, the earlier ones among them."""
        network = build_tiny()
        before = {}
        for ratio in (0.5, 0.75, 0.9):
            as_fine_tuned(mask(network, "ln-structured", ratio, round_to=1))
            for layer in map(network.get_submodule, CONVOLUTIONS):
                assert zero_channels(layer) == round(ratio * layer.weight.shape[0])
            after = zeros_of(network)
            assert all(after[parameter][zero].all() for parameter, zero in before.items())
            before = after

    @pytest.mark.parametrize("name", MASKING)
    def test_a_ratio_that_is_reached_changes_nothing(self, name):
        """Asking for the same ratio again, or for less, leaves every weight as it is."""
        network = mask(build_tiny(), name, 0.6)
        weights = copy.deepcopy(network.state_dict())
        for ratio in (0.6, 0.2):
            mask(network, name, ratio)
        assert all(torch.equal(weights[n], t) for n, t in network.state_dict().items())


class TestPlainNetwork:
    """Nothing of torch's pruning is left in the network."""

    @pytest.mark.parametrize("name", MASKING)
    def test_no_hook_and_the_same_names(self, name):
        """No hook or buffer stays, names come in the same order, parameters are the same objects."""
        network = nn.Sequential(OrderedDict(hidden=nn.Conv2d(3, 8, 1), fc=nn.Linear(8, 4)))
        names, parameters = list(network.state_dict()), dict(network.named_parameters())
        mask(network, name, 0.5)
        assert not torch_prune.is_pruned(network)
        assert list(network.state_dict()) == names
        assert list(dict(network.named_parameters())) == list(parameters)
        assert all(parameters[n] is parameter for n, parameter in network.named_parameters())

    @pytest.mark.parametrize("name", MASKING)
    def test_it_trains_and_copies(self, name):
        """Gradients reach the weights, zeros included, and the network can be copied."""
        network = copy.deepcopy(mask(build_tiny(), name, 0.5))
        network(torch.rand(2, 3, 32, 32)).sum().backward()
        assert network.inner.weight.is_leaf
        assert network.inner.weight.grad.shape == network.inner.weight.shape

    @pytest.mark.parametrize("name", MASKING)
    def test_channels_last(self, name):
        """A network in channels_last loses the same weights as one that is contiguous."""
        network = mask(build_tiny().to(memory_format=torch.channels_last), name, 0.5)
        for a, b in zip(network.parameters(), mask(build_tiny(), name, 0.5).parameters(), strict=True):
            assert torch.equal(a, b)

    def test_no_tracing(self):
        """A model that torch-pruning cannot follow can be masked all the same."""

        class CutOff(Tiny):
            def forward(self, images):
                return super().forward(images).detach()

        network = CutOff()
        plan = prune(network, CutOff(), MethodSpec(name="unstructured-l1"), 0.5, EXAMPLE, seed=0)
        assert plan.widths == plan.dense_widths
        assert zero_count(network.stem) == 216

"""Methods that mask weights: how many become zero, which, and what they refuse."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune
from torch.nn.utils.parametrizations import weight_norm

from pruning_core.errors import OptionError, PruningError
from pruning_core.pruning import METHODS
from pruning_core.pruning.sparsity import zeros_of
from tests.helpers.mask_networks import (
    CONVOLUTIONS,
    MASKING,
    UNSTRUCTURED,
    build_tiny,
    mask,
    zero_channels,
    zero_count,
)


class TestZeroCounts:
    """Exactly what was asked for becomes zero."""

    @pytest.mark.parametrize("ratio", [0.001, 0.1, 0.5, 0.77, 0.9, 0.99])
    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_weights_of_each_layer(self, name, ratio):
        """Local scope zeroes round(ratio × weights) of each layer."""
        network = mask(build_tiny(), name, ratio)
        for layer in map(network.get_submodule, CONVOLUTIONS):
            assert zero_count(layer) == round(ratio * layer.weight.numel())

    @pytest.mark.parametrize(
        ("ratio", "expected"), [(0.1, (2, 3, 2)), (0.5, (8, 16, 8)), (0.77, (12, 25, 12))]
    )
    def test_channels_of_each_layer(self, ratio, expected):
        """ln-structured zeroes round(ratio × channels) of each layer, whole channels only."""
        network = mask(build_tiny(), "ln-structured", ratio, round_to=1)
        layers = [network.get_submodule(name) for name in CONVOLUTIONS]
        assert tuple(map(zero_channels, layers)) == expected
        for layer in layers:
            assert zero_count(layer) == zero_channels(layer) * layer.weight[0].numel()

    @pytest.mark.parametrize(
        ("ratio", "round_to", "kept"),
        [(0.4, 1, (10, 19, 10)), (0.4, 4, (8, 16, 8)), (0.95, 4, (4, 4, 4)), (0.1, 20, (16, 20, 16))],
    )
    def test_kept_channels_are_rounded_down(self, ratio, round_to, kept):
        """Kept channels go down to a multiple of round_to, never to nothing."""
        network = mask(build_tiny(), "ln-structured", ratio, round_to=round_to)
        layers = [network.get_submodule(name) for name in CONVOLUTIONS]
        assert tuple(len(layer.weight) - zero_channels(layer) for layer in layers) == kept

    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_round_to_has_no_say_over_weights(self, name):
        """A weight count is never rounded."""
        network = mask(build_tiny(), name, 0.3, round_to=64)
        assert zero_count(network.stem) == round(0.3 * 432)

    @pytest.mark.parametrize("ratio", [0.1, 0.77, 0.9])
    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_weights_of_all_layers(self, name, ratio):
        """Global scope zeroes round(ratio × weights) of all layers together, not of each."""
        network = mask(build_tiny(), name, ratio, scope="global")
        layers = [network.get_submodule(layer) for layer in CONVOLUTIONS]
        total = sum(layer.weight.numel() for layer in layers)
        assert sum(map(zero_count, layers)) == round(ratio * total)
        assert [zero_count(layer) for layer in layers] != [
            round(ratio * layer.weight.numel()) for layer in layers
        ]

    @pytest.mark.parametrize("scope", ["local", "global"])
    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_one_weight_of_each_layer_survives(self, name, scope):
        """Ratio 1 leaves one weight of each layer, not a network that answers nothing."""
        network = mask(build_tiny(), name, 1.0, scope=scope)
        for layer in map(network.get_submodule, CONVOLUTIONS):
            assert zero_count(layer) == layer.weight.numel() - 1

    def test_one_channel_of_each_layer_survives(self):
        """Ratio 1 leaves one channel of each layer."""
        network = mask(build_tiny(), "ln-structured", 1.0, round_to=1)
        for layer in map(network.get_submodule, CONVOLUTIONS):
            assert zero_channels(layer) == layer.weight.shape[0] - 1

    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_a_small_layer_survives_among_large_ones(self, name):
        """Global scope leaves a weight of a layer that ranks below all others or has few weights."""
        network = build_tiny()
        with torch.no_grad():
            network.stem.weight *= 1e-6
        mask(network, name, 0.999, scope="global")
        assert all(network.get_submodule(layer).weight.any() for layer in CONVOLUTIONS)

    @pytest.mark.parametrize("name", MASKING)
    def test_a_layer_of_zeros_is_no_obstacle(self, name):
        """A layer whose weights are zero from the start stays so, and the others are masked."""
        network = build_tiny()
        nn.init.zeros_(network.outer.weight)
        mask(network, name, 0.5, round_to=1)
        assert zero_count(network.outer) == network.outer.weight.numel()
        assert zero_count(network.stem) == 216

    @pytest.mark.parametrize("name", MASKING)
    def test_a_linear_layer_is_masked(self, name):
        """A linear layer that is not the classifier is masked; the classifier and biases are not."""
        network = nn.Sequential(OrderedDict(hidden=nn.Linear(8, 6), fc=nn.Linear(6, 4)))
        bias, fc = network.hidden.bias.clone(), network.fc.weight.clone()
        mask(network, name, 0.5, round_to=1)
        assert zero_count(network.hidden) == 24
        assert torch.equal(network.hidden.bias, bias)
        assert torch.equal(network.fc.weight, fc)


class TestTargets:
    """Layers that stay, and layers with a ratio of their own."""

    @pytest.mark.parametrize("name", MASKING)
    def test_a_protected_layer_stays(self, name):
        """No weight of a protected layer becomes zero; the others are masked as without it."""
        network = mask(build_tiny(), name, 0.5, protect=["in*"])
        assert [zero_count(network.get_submodule(layer)) > 0 for layer in CONVOLUTIONS] == [True, False, True]
        assert torch.equal(network.inner.weight, build_tiny().inner.weight)

    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_protection_holds_in_global_scope(self, name):
        """The ratio is of the weights that are not protected: those neither become zero nor count."""
        network = mask(build_tiny(), name, 0.5, scope="global", protect=["inner"])
        left = (network.stem, network.outer)
        assert zero_count(network.inner) == 0
        assert sum(map(zero_count, left)) == round(0.5 * sum(layer.weight.numel() for layer in left))

    @pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("name", MASKING)
    def test_a_layer_has_its_own_ratio_at_every_step(self, name, ratio):
        """A layer of ratio_of has that one whatever the schedule's is; the others have the schedule's."""
        of = zero_channels if name == "ln-structured" else zero_count
        network = mask(build_tiny(), name, ratio, round_to=1, ratio_of={"inner": 0.75, "stem": 0.0})
        plain = mask(build_tiny(), name, ratio, round_to=1)
        own = mask(build_tiny(), name, 0.75, round_to=1)
        assert of(network.inner) == of(own.inner) > 0
        assert of(network.stem) == 0
        assert of(network.outer) == of(plain.outer) > 0

    @pytest.mark.parametrize("name", MASKING)
    def test_layers_of_one_weight_stay_together(self, name):
        """What shares its weight with a protected layer stays, and has the ratio that either has."""
        tied = nn.Sequential(OrderedDict(a=nn.Linear(8, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 8)))
        tied.b.weight = tied.a.weight
        network = mask(copy.deepcopy(tied), name, 0.5, round_to=1, protect=["a"])
        assert (zero_count(network.b), zero_count(network.c)) == (0, 32)
        network = mask(copy.deepcopy(tied), name, 0.5, round_to=1, ratio_of={"b": 0.25})
        assert (zero_count(network.a), zero_count(network.c)) == (16, 32)
        with pytest.raises(PruningError, match=r"a and b can only be pruned alike.* 0\.25 and 0\.5"):
            mask(tied, name, 0.5, ratio_of={"a": 0.25, "b": 0.5})

    @pytest.mark.parametrize("scope", ["local", "global"])
    @pytest.mark.parametrize("name", UNSTRUCTURED)
    def test_a_weight_of_two_layers_is_masked_once(self, name, scope):
        """Chance drawn for each layer would zero three quarters of it."""
        tied = nn.Sequential(OrderedDict(a=nn.Linear(16, 16), b=nn.Linear(16, 16)))
        tied.b.weight = tied.a.weight
        network = mask(tied, name, 0.5, scope=scope)
        assert zero_count(network.a) == zero_count(network.b) == 128
        assert network.a.weight is network.b.weight

    @pytest.mark.parametrize("name", MASKING)
    def test_what_cannot_be_meant_is_refused(self, name):
        """Patterns that match nothing, nothing that is masked, or all there is, are said in one line."""
        with pytest.raises(OptionError, match=r"no layer 'iner' in this model\. Did you mean 'inner'"):
            mask(build_tiny(), name, 0.5, protect=["iner"])
        with pytest.raises(OptionError, match=r"'fc' = 0\.5 matches only layers that stay"):
            mask(build_tiny(), name, 0.5, ratio_of={"fc": 0.5})
        with pytest.raises(OptionError, match="'norm' matches no layer that this method prunes"):
            mask(build_tiny(), name, 0.5, ratio_of={"norm": 0.5})
        with pytest.raises(PruningError, match="no Conv2d or Linear besides those that are protected"):
            mask(build_tiny(), name, 0.5, protect=["*"])
        network = nn.Sequential(
            OrderedDict(conv=nn.Conv1d(3, 4, 1), flat=nn.Flatten(), hidden=nn.Linear(4, 4))
        )
        with pytest.raises(OptionError, match="'conv' matches no layer that this method prunes"):
            mask(network, name, 0.5, ratio_of={"conv": 0.5})


class TestWhichWeights:
    """Which weights become zero."""

    def test_the_smallest_magnitudes_of_each_layer(self):
        """unstructured-l1 does to a layer what torch's l1_unstructured does."""
        network, by_torch = build_tiny(), build_tiny()
        mask(network, "unstructured-l1", 0.6)
        for name in CONVOLUTIONS:
            layer = by_torch.get_submodule(name)
            torch_prune.l1_unstructured(layer, "weight", amount=0.6)
            assert torch.equal(network.get_submodule(name).weight, layer.weight)

    def test_the_smallest_magnitudes_of_all_layers(self):
        """With global scope no weight that is gone was larger than one that stays."""
        network, dense = build_tiny(), build_tiny()
        mask(network, "unstructured-l1", 0.6, scope="global")
        gone = torch.cat([dense.get_parameter(n)[z].abs() for n, z in zeros_of(network).items()])
        stays = torch.cat([dense.get_parameter(n)[~z].abs() for n, z in zeros_of(network).items()])
        assert gone.max() <= stays.min()

    def test_the_smallest_channels(self):
        """ln-structured zeroes the channels with the smallest L2 norm, whatever their L1 norm."""
        network = build_tiny()
        with torch.no_grad():
            network.outer.weight.zero_()
            network.outer.weight[:, 0] = 1.0  # L1 1, L2 1
            network.outer.weight[[2, 5]] = 0.1  # 32 inputs: L1 3.2, L2 0.57
        mask(network, "ln-structured", 2 / 16, round_to=1)
        assert (~network.outer.weight.flatten(1).any(dim=1)).nonzero().flatten().tolist() == [2, 5]

    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_the_control_is_decided_by_the_seed(self, scope):
        """The same seed zeroes the same weights, another seed others."""
        first, second, other = (
            zeros_of(mask(build_tiny(), "unstructured-random", 0.5, seed=seed, scope=scope))
            for seed in (3, 3, 4)
        )
        for name in first:
            assert torch.equal(first[name], second[name])
            assert not torch.equal(first[name], other[name])

    def test_the_control_leaves_the_generator_alone(self):
        """What others draw after pruning does not depend on it."""
        network = build_tiny()
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        mask(network, "unstructured-random", 0.5)
        assert torch.equal(torch.rand(3), expected)

    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_the_control_does_not_follow_magnitudes(self, scope):
        """The control's zeros hit small and large weights alike; not even the kept weight is the largest."""
        network, dense = build_tiny(), build_tiny()
        mask(network, "unstructured-random", 0.5, scope=scope)
        magnitude = dense.inner.weight.abs()
        zero = network.inner.weight == 0
        small = magnitude < magnitude.median()
        assert 0.45 < zero[small].float().mean() < 0.55
        last = mask(build_tiny(), "unstructured-random", 1.0, scope=scope).inner.weight
        assert last.abs().argmax() != magnitude.argmax()


class TestRefusals:
    """What cannot be masked is said in one line, before a weight is changed."""

    def test_channels_have_no_global_rank(self):
        """ln-structured refuses global scope."""
        with pytest.raises(PruningError, match="ln-structured has only local scope"):
            mask(build_tiny(), "ln-structured", 0.5, scope="global")

    @pytest.mark.parametrize("name", MASKING)
    def test_nothing_to_mask(self, name):
        """A model of nothing but its classifier has no layer to mask."""
        with pytest.raises(PruningError, match="no layer to mask"):
            mask(nn.Sequential(OrderedDict(fc=nn.Linear(3, 4))), name, 0.5)

    @pytest.mark.parametrize("name", MASKING)
    def test_a_weight_that_is_computed(self, name):
        """A weight under a parametrization is refused by its layer's name, and no other layer is masked."""
        network = build_tiny()
        weight_norm(network.outer)
        with pytest.raises(PruningError, match="cannot mask layer 'outer': its weight is computed"):
            mask(network, name, 0.5)
        assert zero_count(network.stem) == 0


@pytest.mark.parametrize("installed", ["2.13.0+cpu", "2.13.0"])
def test_the_key_has_no_local_version(monkeypatch, installed):
    """Two machines with the same torch, built for different devices, make the same key."""
    monkeypatch.setattr("pruning_core.pruning.masks.version", {"torch": installed}.__getitem__)
    assert {METHODS[name].library_version() for name in MASKING} == {"torch 2.13.0"}

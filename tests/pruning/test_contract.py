"""What holds for each entry of METHODS, in each scope that it has."""

import copy
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pruning_core.pruning import METHODS
from pruning_core.pruning.channel_plan import ChannelPlan, layer_widths
from pruning_core.pruning.loading import load_pruned
from pruning_core.pruning.sparsity import zeros_of
from pruning_core.pruning.step import extent_of, is_exhausted, prune
from pruning_core.pruning.tensors import all_tensors
from tests.helpers.factories import Tiny, tiny_method
from tests.helpers.losses import losses_for
from tests.helpers.mask_networks import CONVOLUTIONS, build_tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)
CASES = [(name, scope) for name, method in METHODS.items() for scope in method.scopes]
BY_CHANCE = {"random", "unstructured-random"}

GROUPS = {"stem": 16, "inner": 32}
"""Roots of the groups of the small network → channels; no two are bound alike."""


SMALL = set(range(8, 16))
"""Channels of `inner` that have next to no effect in the network of `gone_of_inner`."""


def prune_tiny(
    network: nn.Module, ratio: float, name: str, scope: str, seed: int = 0, **fields: object
) -> ChannelPlan:
    """Prune the small network to a ratio of its dense widths."""
    spec = tiny_method(name, ratio, scope=scope, **fields)
    dense = build_tiny()
    losses = losses_for(name)
    return prune(network, dense, spec, ratio, EXAMPLE, seed=seed, losses=losses)


class Halved(NamedTuple):
    """The small network, half of it pruned; what it was is left as it was built."""

    network: nn.Module
    plan: ChannelPlan


def ratios_for(name: str, *ratios: float) -> tuple[float, ...]:
    """Return ratios that a method has: of a mask in a pattern there is one."""
    only = getattr(METHODS[name], "only_ratio", None)
    return ratios if only is None else (only,)


@cache
def halved(name: str, scope: str) -> Halved:
    """Prune the small network to a half, once for all tests, which leave it as it is."""
    network = build_tiny()
    return Halved(network.eval(), prune_tiny(network, 0.5, name, scope))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors."""
    return {name: tensor.detach().clone() for name, tensor in all_tensors(network).items()}


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Tell whether tensors are the same, bit by bit."""
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize(("name", "scope"), CASES)
class TestEveryMethod:
    """What holds for each entry of METHODS."""

    def test_what_it_is_given_stays_as_it_was(self, name: str, scope: str) -> None:
        """The dense network and the example keep every bit, mode, gradient and hook."""
        dense, example = build_tiny(), torch.randn(1, 3, 32, 32)
        dense.inner.weight.requires_grad_(False)
        before, shown = state_of(dense), example.clone()
        spec = tiny_method(name, 0.5, scope=scope)
        prune(copy.deepcopy(dense), dense, spec, 0.5, example, seed=0, losses=losses_for(name))
        assert same(state_of(dense), before)
        assert torch.equal(example, shown)
        assert dense.training
        assert [n for n, p in dense.named_parameters() if not p.requires_grad] == ["inner.weight"]
        assert all(p.grad is None for p in dense.parameters())
        assert not any(module._forward_hooks or module._backward_hooks for module in dense.modules())

    def test_the_network_still_runs(self, name: str, scope: str) -> None:
        """Inputs and outputs are as before, and answers are finite."""
        answers = halved(name, scope).network(torch.randn(3, 3, 32, 32))
        assert answers.shape == (3, 10)
        assert bool(answers.isfinite().all())

    def test_the_cut_is_proved(self, name: str, scope: str) -> None:
        """Nothing in the network computes statistics over channels; masks cut nothing."""
        plan = halved(name, scope).plan
        assert plan.proof == ("" if METHODS[name].masks else "exact")
        assert plan.kept_whole == ()

    def test_what_stays_is_what_it_was(self, name: str, scope: str) -> None:
        """Each weight that is left, of the classifier too, has the bits that it had."""
        network, plan = halved(name, scope)
        dense = state_of(build_tiny())
        for tensor_name, tensor in state_of(network).items():
            expected = dense[tensor_name]
            for dimension, kept in enumerate(plan.kept_indices(tensor_name) or ()):
                expected = expected if kept is None else expected.index_select(dimension, kept)
            if METHODS[name].masks and tensor_name.removesuffix(".weight") in CONVOLUTIONS:
                expected = torch.where(tensor == 0, 0, expected)
            assert torch.equal(tensor, expected), tensor_name

    def test_the_classifier_is_not_pruned(self, name: str, scope: str) -> None:
        """The layer that makes the logits keeps its outputs, and no weight of it becomes zero."""
        network = build_tiny()
        prune_tiny(network, *ratios_for(name, 0.9), name, scope)
        assert network.fc.out_features == 10
        assert torch.equal(network.fc.bias, build_tiny().fc.bias)
        assert "fc.weight" not in zeros_of(network)

    def test_gradients_flow(self, name: str, scope: str) -> None:
        """Every parameter can be trained, and the loss depends on every layer that is left."""
        network = copy.deepcopy(halved(name, scope).network).train()
        network(torch.randn(4, 3, 32, 32)).square().sum().backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.requires_grad
            assert parameter.grad is not None, parameter_name
            assert bool(parameter.grad.isfinite().all())
        for layer in (*CONVOLUTIONS, "fc"):
            assert network.get_submodule(layer).weight.grad.any(), layer

    @pytest.mark.parametrize("round_to", [1, 4])
    def test_the_ratio_is_gone_to_one_step_of_rounding(self, name: str, scope: str, round_to: int) -> None:
        """Each layer, or all together, keep what is asked for, rounded down by less than a multiple each."""
        method, network = METHODS[name], build_tiny()
        for ratio in ratios_for(name, 0.1, 0.4, 0.75):
            plan = prune_tiny(network, ratio, name, scope, round_to=round_to)
            if method.masks:
                # Weights are counted one by one; channels that are masked, in multiples.
                step = 1 if name.startswith("unstructured") else round_to * network.inner.weight[0].numel()
                assert plan.widths == plan.dense_widths
                assert abs(sparsity_in(network) - ratio) * weights_in(network) <= step * len(CONVOLUTIONS)
                continue
            kept = {root: plan.widths[root] for root in GROUPS}
            assert all(width % round_to == 0 for width in kept.values())
            if scope == "global":
                asked = sum(GROUPS.values()) * (1 - ratio)
                assert asked - len(GROUPS) * round_to < sum(kept.values()) <= asked
            else:
                for root, dense in GROUPS.items():
                    asked = dense * (1 - ratio)
                    assert max(asked - round_to, round_to - 1) < kept[root] <= max(asked, round_to)

    def test_a_step_that_removes_nothing_is_exhausted(self, name: str, scope: str) -> None:
        """The same ratio once more leaves the network as it is, and tells so."""
        network = copy.deepcopy(halved(name, scope).network)
        assert not is_exhausted(network, extent_of(build_tiny()))
        before = extent_of(network)
        prune_tiny(network, 0.5, name, scope)
        assert is_exhausted(network, before)

    def test_the_same_twice(self, name: str, scope: str) -> None:
        """The same network, ratio and seed give the same plan, and lose the same channels or weights."""
        network = build_tiny()
        torch.rand(7)  # somebody else draws from the generator in between
        plan = prune_tiny(network, 0.5, name, scope)
        assert plan == halved(name, scope).plan
        assert same(state_of(network), state_of(halved(name, scope).network))

    def test_a_seed_decides_what_is_drawn_by_chance_alone(self, name: str, scope: str) -> None:
        """Another seed is another choice of a method that draws, and the same of all others."""
        network = build_tiny()
        prune_tiny(network, 0.5, name, scope, seed=1)
        assert same(state_of(network), state_of(halved(name, scope).network)) == (name not in BY_CHANCE)

    def test_ratio_zero_changes_nothing(self, name: str, scope: str) -> None:
        """Ratio 0 removes nothing, not even by rounding."""
        network = build_tiny()
        prune_tiny(network, 0.0, name, scope, round_to=5)
        assert layer_widths(network) == layer_widths(build_tiny())
        assert same(state_of(network), state_of(build_tiny()))

    def test_reload_without_torch_pruning(self, name: str, scope: str) -> None:
        """Plan and weights rebuild the network exactly, through JSON."""
        network, plan = halved(name, scope)
        read = ChannelPlan.model_validate_json(plan.model_dump_json())
        again = load_pruned(Tiny(), read, network.state_dict())
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(again.eval()(images), network(images))

    def test_its_choice_is_not_that_of_chance(self, name: str, scope: str) -> None:
        """Where a quarter of a layer's channels does nearly nothing, these go; by chance others do."""
        if ratios_for(name, 0.25) != (0.25,):  # a pattern masks some of each channel: the small weights
            dense, masked = build_tiny().inner.weight, halved(name, scope).network.inner.weight == 0
            assert dense[masked].abs().mean() < 0.6 * dense[~masked].abs().mean()
            return
        chance = "unstructured-random" if METHODS[name].masks else "random"
        assert gone_of_inner(name, scope) >= SMALL or name in BY_CHANCE
        assert not gone_of_inner(chance, "local") >= SMALL


@cache
def gone_of_inner(name: str, scope: str) -> set[int]:
    """Return which channels of `inner` go when a quarter does and some are small in all respects."""
    network = build_tiny()
    with torch.no_grad():
        for channel in SMALL:
            network.inner.weight[channel] *= 1e-6
            network.inner_norm.weight[channel] *= 1e-6
            network.outer.weight[:, channel] *= 1e-6
    plan = prune_tiny(network, 0.25, name, scope)
    if METHODS[name].masks:
        return {channel for channel in range(32) if not network.inner.weight[channel].any()}
    kept = plan.kept_indices("inner.weight")
    assert kept is not None
    return set(range(32)) - set(range(32) if kept[0] is None else kept[0].tolist())


def weights_in(network: nn.Module) -> int:
    """Count the weights that can be masked."""
    return sum(network.get_submodule(layer).weight.numel() for layer in CONVOLUTIONS)


def sparsity_in(network: nn.Module) -> float:
    """Return which share of these is zero."""
    zero = sum(int((network.get_submodule(layer).weight == 0).sum()) for layer in CONVOLUTIONS)
    return zero / weights_in(network)

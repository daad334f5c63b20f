"""Rankings by training examples, on tiny networks in which it is known by hand which channels must go."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.pruning import METHODS
from pruning_core.pruning.base import Losses
from pruning_core.pruning.step import prune

EXAMPLE = torch.zeros(1, 1, 2, 2)
DATA_DRIVEN = [name for name, method in METHODS.items() if method.uses_data]


def four_channels(readers: list[list[float]], biases: tuple[float, ...] = (0, 0, 0, 0)) -> nn.Module:
    """Return a network of four channels, each one weight that is its number, read by a linear layer."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, len(readers))
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, 1.01, 1.02, 1.03]).reshape(4, 1, 1, 1))
        network[0].bias.copy_(torch.tensor(biases))
        network[4].weight.copy_(torch.tensor(readers))
    return network.eval()


def linear_losses(*coefficients: list[float]) -> Losses:
    """Return losses that are sums of the outputs, each with its coefficients, for an image of ones."""

    def losses(network: nn.Module, _drawn_labels: bool) -> Iterator[Tensor]:
        for of_one in coefficients:
            yield (network(torch.ones_like(EXAMPLE)) * torch.tensor(of_one)).sum()

    return losses


def gone(method: str, network: nn.Module, losses: Losses) -> list[int]:
    """Return which of the four channels goes when a quarter does."""
    before = network[0].weight.flatten().tolist()  # type: ignore[index, operator, union-attr]
    spec = MethodSpec(name=method, round_to=1)
    prune(network, copy.deepcopy(network), spec, 0.25, EXAMPLE, seed=0, losses=losses)
    after = network[0].weight.flatten().tolist()  # type: ignore[index, operator, union-attr]
    return [index for index, weight in enumerate(before) if weight not in after]


IDENTITY = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]


@pytest.mark.parametrize("method", ["taylor", "hessian", "obdc"])
def test_a_channel_that_the_loss_does_not_depend_on_goes(method: str) -> None:
    """The largest channel goes where its output has no part in the loss."""
    assert gone(method, four_channels(IDENTITY), linear_losses([1.0, 1.0, 1.0, 0.0])) == [3]


def test_what_examples_disagree_on_cancels_to_first_order_and_counts_to_second() -> None:
    """Two examples pull one channel in opposite directions, and another one gently in the same."""
    losses = linear_losses([1.0, 0.2, 0.6, 0.6], [-1.0, 0.2, 0.6, 0.6])
    assert gone("taylor", four_channels(IDENTITY), losses) == [0]
    assert gone("hessian", four_channels(IDENTITY), losses) == [1]
    assert gone("obdc", four_channels(IDENTITY), losses) == [1]


def test_readers_count_for_the_hessian_and_not_for_obdc() -> None:
    """A channel is read twice, with opposite signs: its own weight has no effect, those that read it have."""
    readers = [*IDENTITY, [-1.0, 0, 0, 0]]
    losses = linear_losses([2.0, 0.5, 1.0, 1.0, 2.0])
    assert gone("obdc", four_channels(readers), losses) == [0]
    assert gone("hessian", four_channels(readers), losses) == [1]


def test_a_channel_that_is_never_active_goes_whatever_its_weights_are() -> None:
    """A bias keeps the third channel below zero on all examples."""
    network = four_channels(IDENTITY, biases=(0.0, 0.0, -9.0, 0.0))
    assert gone("activation", network, linear_losses([1.0] * 4)) == [2]


@pytest.mark.parametrize("method", DATA_DRIVEN)
def test_without_examples_there_is_one_line(method: str) -> None:
    """It says what is missing, and who has it."""
    network = four_channels(IDENTITY)
    with pytest.raises(PruningError, match=f"{method} ranks channels by training examples, which `prepare`"):
        prune(network, copy.deepcopy(network), MethodSpec(name=method), 0.5, EXAMPLE, seed=0)


@pytest.mark.parametrize("method", ["taylor", "hessian", "obdc"])
def test_a_loss_that_is_no_number_ranks_nothing(method: str) -> None:
    """It is refused, not ranked by whatever comes out."""
    with pytest.raises(PruningError, match="no finite number"):
        gone(method, four_channels(IDENTITY), linear_losses([float("nan")] * 4))


@pytest.mark.parametrize("method", DATA_DRIVEN)
def test_the_network_is_left_as_it_was(method: str) -> None:
    """No hook stays on it, no gradient, no mode of training."""
    network = four_channels(IDENTITY)
    gone(method, network, linear_losses([1.0, 2.0, 3.0, 4.0]))
    for module in network.modules():
        assert not module._forward_hooks
        assert not module.training
        assert all(parameter.grad is None for parameter in module.parameters())

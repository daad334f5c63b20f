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
from tests.helpers.losses import losses_on

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


class Flattened(nn.Module):
    """Four channels of known size, read by a convolution and, pixel by pixel, by a linear layer."""

    def __init__(self, kind: type[nn.Module] = nn.Conv2d) -> None:
        super().__init__()
        self.dimensions = 1 if kind is nn.Conv1d else 2
        self.made, self.read = kind(1, 4, 1, bias=False), kind(4, 3, 1)
        self.flat = nn.Linear(4 * 2**self.dimensions, 3)
        with torch.no_grad():
            self.made.weight.copy_(
                torch.tensor([1.0, 0.01, 0.1, 0.001]).reshape(4, *(1,) * (self.dimensions + 1))
            )

    def forward(self, x: Tensor) -> Tensor:
        x = self.made(x)
        flat = x.movedim(1, -1).flatten(1)
        return self.read(x).flatten(2).mean(2) + self.flat(input=flat)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_a_channel_that_is_several_inputs_is_as_large_as_their_mean(kind: type[nn.Module]) -> None:
    """Of 1, 0.01, 0.1 and 0.001 the two smallest go, whichever way their pixels are ordered."""
    network = Flattened(kind).eval()
    shape = (2,) * network.dimensions
    losses = losses_on(torch.randn(4, 1, *shape), torch.arange(4) % 3)
    spec = MethodSpec(name="activation", round_to=1)
    prune(network, copy.deepcopy(network), spec, 0.5, torch.zeros(1, 1, *shape), seed=0, losses=losses)
    assert network.made.weight.flatten().tolist() == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize("method", DATA_DRIVEN)
def test_a_parameter_of_whole_numbers_has_no_gradient_and_is_left(method: str) -> None:
    """Quantized tables and counters are parameters of some networks."""
    network = four_channels(IDENTITY)
    network.register_parameter("table", nn.Parameter(torch.arange(3), requires_grad=False))
    assert len(gone(method, network, linear_losses([1.0, 1.0, 1.0, 0.5]))) == 1


@pytest.mark.parametrize("method", ["taylor", "hessian", "obdc"])
def test_a_loss_without_gradients_is_one_line(method: str) -> None:
    """A forward that detaches leaves nothing to rank by."""

    def losses(network: nn.Module, _drawn_labels: bool) -> Iterator[Tensor]:
        yield network(torch.ones_like(EXAMPLE)).detach().sum()

    with pytest.raises(PruningError, match="the loss of a training example has no gradients"):
        gone(method, four_channels(IDENTITY), losses)


class Branches(nn.Module):
    """Three branches of four channels: of the second none is ever active."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(1, 4, 1, bias=False) for _ in range(3))
        self.readers = nn.ModuleList(nn.Linear(4, 3, bias=False) for _ in range(3))
        with torch.no_grad():
            for branch, reader in zip(self.branches, self.readers, strict=True):
                branch.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1, 1))
                reader.weight.copy_(torch.eye(3, 4) + 0.1)
            self.branches[1].weight.neg_()

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.branches, self.readers, strict=True)
        return torch.stack([reader(branch(x).relu().mean((2, 3))) for branch, reader in pairs]).sum(0)


@pytest.mark.parametrize("method", ["taylor", "hessian", "obdc"])
def test_a_group_without_effect_goes_first_over_all_layers(method: str) -> None:
    """Its scores are 0 ÷ 0 to torch-pruning; a ranking with such numbers in it would be none."""
    network = Branches().eval()
    losses = losses_on(torch.ones(4, 1, 2, 2), torch.arange(4) % 3)
    spec = MethodSpec(name=method, round_to=1, scope="global")
    plan = prune(network, copy.deepcopy(network), spec, 0.25, EXAMPLE, seed=0, losses=losses)
    assert [plan.widths[f"branches.{k}"] for k in range(3)] == [4, 1, 4]


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

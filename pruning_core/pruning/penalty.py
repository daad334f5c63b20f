"""Penalties on channels: what they add to the gradients of a training that prepares a network for the cut.

A step computes the gradients of the loss, a penalty adds its own, the optimizer moves the weights
(`training/step.py`). What is in no group that can be cut, protected layers among it, is not pushed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruning_core.pruning.channel_weights import ChannelGroup, ChannelWeights


class Pushed:
    """One dimension of a weight on its device: the norms of its channels, and pushing them.

    Sums are gathers over tables and no scatters: those add up in any order on a GPU.
    """

    def __init__(self, weights: ChannelWeights, channels: int, weight: nn.Parameter) -> None:
        """Prepare the tables.

        Args:
            weights: Which positions belong to which channel.
            channels: Of the group.
            weight: The parameter.
        """
        self.weight, self.is_scale, self._dimension = weight, weights.is_scale, weights.dimension
        size = weight.shape[weights.dimension]
        of_channel: list[list[int]] = [[] for _ in range(channels)]
        of_position: list[list[int]] = [[] for _ in range(size)]
        for position, channel in zip(weights.positions.tolist(), weights.channels.tolist(), strict=True):
            of_channel[channel].append(position)
            of_position[position].append(channel)
        self._positions = _table(of_channel, size, weight.device)  # (channels, at most)
        self._channels = _table(of_position, channels, weight.device)  # (size, at most)
        counts = torch.tensor([max(len(row), 1) for row in of_position], device=weight.device)
        self._shares = 1 / counts.to(weight.dtype)  # (size,)

    def squared_norms(self) -> Tensor:  # -> (channels,)
        """Return the squared L2 norm of each channel's weights."""
        others = [d for d in range(self.weight.dim()) if d != self._dimension]
        squares = self.weight.square()
        by_position = squares.sum(others) if others else squares
        return functional.pad(by_position, (0, 1))[self._positions].sum(1)

    def by_position(self, by_channel: Tensor) -> Tensor:  # (channels,) -> of a shape that fits the weight
        """Return for each position the number of its channel, the mean of several, 0 where it has none."""
        numbers = functional.pad(by_channel.to(self.weight.dtype), (0, 1))[self._channels].sum(1)
        shape = [1] * self.weight.dim()
        shape[self._dimension] = -1
        return (numbers * self._shares).view(shape)

    def add(self, gradient: Tensor) -> None:
        """Add to the gradient of the weight; nothing where the loss has none for it."""
        if self.weight.grad is not None:
            self.weight.grad.add_(gradient)


class PushedGroup:
    """The channels of one group on the device."""

    def __init__(self, group: ChannelGroup, parameters: Mapping[str, nn.Parameter]) -> None:
        """Find the weights of a group among the parameters of a network."""
        self.root, self.channels = group.root, group.channels
        self.weights = [Pushed(each, group.channels, parameters[each.name]) for each in group.weights]
        self.device = self.weights[0].weight.device if self.weights else torch.device("cpu")
        orbit_of = {channel: orbit for orbit in group.orbits for channel in orbit}
        rows = [orbit_of[channel] for channel in range(group.channels)]
        together = any(len(orbit) > 1 for orbit in group.orbits)
        self._orbits = _table(rows, group.channels, self.device) if together else None

    def new_full(self, value: float) -> Tensor:  # -> (channels,)
        """Return one number for all channels."""
        return torch.full((self.channels,), value, device=self.device)

    def squared_norms(self) -> Tensor:  # -> (channels,)
        """Return the squared norm of each channel over all layers; of those that go together, their sum."""
        norms = torch.zeros(self.channels, device=self.device)
        for each in self.weights:
            norms = norms + each.squared_norms()
        return norms if self._orbits is None else functional.pad(norms, (0, 1))[self._orbits].sum(1)

    def decay(self, strengths: Tensor) -> None:
        """Add to the gradients, for each channel, its weights times its strength.

        Args:
            strengths: (channels,).
        """
        for each in self.weights:
            each.add(each.weight * each.by_position(strengths))


class Penalty(ABC):
    """Pushes channels towards zero: each step it adds to the gradients that the loss has left."""

    default_strength: ClassVar[float]
    grows = False
    """Whether it grows from epoch to epoch."""

    def __init__(
        self, network: nn.Module, groups: Sequence[ChannelGroup], strength: float, growth: float
    ) -> None:
        """Prepare.

        Args:
            network: On the device that it is trained on.
            groups: Of channels that can be cut.
            strength: 0: nothing is pushed.
            growth: Strengths that an epoch adds at most, where it grows.
        """
        parameters = dict(network.named_parameters())
        self.groups = [PushedGroup(group, parameters) for group in groups]
        self.strength, self.growth = strength, growth

    @classmethod  # noqa: B027  # most have nothing to refuse
    def check(cls, network: nn.Module) -> None:
        """Refuse a network that it cannot push.

        Raises:
            PruningError: In one line.
        """

    @abstractmethod
    def add_gradients(self) -> None:
        """Add to the gradients, without waiting for the device. Runs without autograd."""

    def end_epoch(self) -> None:  # noqa: B027  # most do not grow
        """Grow, once an epoch is over."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs to go on: name → tensor."""
        return {}

    def set_state(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027  # most have no state
        """Go on from what `state` gave."""


@dataclass(frozen=True, eq=False)
class Regularization:
    """A penalty before it is on a device: what a training is told."""

    kind: type[Penalty]
    groups: tuple[ChannelGroup, ...]
    strength: float
    growth: float

    def penalty_on(self, network: nn.Module) -> Penalty:
        """Return the penalty on the weights of a network, where they are now."""
        return self.kind(network, self.groups, self.strength, self.growth)


def spread_of(scores: Tensor) -> Tensor:  # (channels,) -> (channels,)
    """Return how far each score is below the highest: 0 for that one, 1 for the lowest; 0 if all are equal.

    Args:
        scores: Of the channels of a group.
    """
    smallest = torch.finfo(scores.dtype).tiny
    return (scores.max() - scores) / (scores.max() - scores.min()).clamp(min=smallest)


def _table(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> Tensor:
    longest = max(map(len, rows), default=0)
    filled = [[*row, *[filler] * (longest - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.int64, device=device).reshape(len(rows), longest)

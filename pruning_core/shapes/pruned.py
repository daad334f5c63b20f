"""The shapes that a network can be pruned to: which ratios make a difference, and the network at each.

With local scope the widths depend on the ratio alone, so an untrained network has the shape of a trained one.
With another scope they depend on the weights: then the network is the trained dense one.
"""

import math
from contextlib import suppress
from functools import cached_property, lru_cache

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.pruning import find_method
from pruning_core.pruning.base import Losses
from pruning_core.pruning.step import extent_of, prune
from pruning_core.shapes.memory import MEMORY_BYTES, weight_bytes

DIGITS = 3
"""Decimals of a ratio that is looked for: no finer, so that two searches find the same one more often."""

KEPT_NETWORKS = 8
"""Pruned networks that stay in memory, if it holds them: what is looked at closely was looked at before."""

TRIED_RATIO = 0.5
"""A network is pruned to this once, to learn the widths of its layers."""

STAND_IN = "magnitude"
"""Cuts in place of a method that ranks by training examples, or cuts to the same widths: other channels."""

Shape = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and sizes of all tensors of a network: of two networks of one shape one need be timed."""


class PrunedShapes:
    """One network, pruned from dense to any ratio, untrained."""

    def __init__(
        self, dense: nn.Module, method: MethodSpec, example: Inputs, losses: Losses | None = None
    ) -> None:
        """Prepare.

        Args:
            dense: On the CPU; it stays as it is. Untrained, if the scope is local; else trained.
            method: Structured.
            example: What the network takes, of one example.
            losses: On training examples, for methods that rank by them in another scope.
        """
        self.dense, self.example, self._losses = dense, example, losses
        held = MEMORY_BYTES // max(weight_bytes(dense), 1)
        self._kept = lru_cache(max(min(KEPT_NETWORKS, held), 1))(self._pruned)
        named = method.model_copy(update={"schedule": "one-shot"})
        if method.scope != "local":
            self.method = named
            return
        stand_in = named.model_copy(update={"name": STAND_IN})
        alike = find_method(method.name).uses_data or self._shape(stand_in) == self._shape(named)
        self.method = stand_in if alike else named

    @cached_property
    def ratios(self) -> list[float]:
        """The smallest ratios at which a layer gets narrower, rising; the first one is 0, dense.

        Raises:
            PruningError: If nothing in the network can be pruned.
        """
        scale, most = 10**DIGITS, self.method.max_ratio
        if self.method.scope != "local":  # which layer gets narrower next is the weights' to say
            return [number / scale for number in range(scale) if number / scale <= most]
        network = copy_network(self.dense)
        plan = prune(network, self.dense, self.method, self._tried_ratio, self.example, seed=0)
        step = self.method.round_to
        widths = {dense for name, dense in plan.dense_widths.items() if plan.widths[name] < dense}
        asked = {
            (width, kept)
            for width in widths
            if width > step
            for kept in (*range(2 * step, width, step), width)  # dense, too, where it is no multiple
        }
        # What is asked for is rounded down: the next width begins just beyond a ratio that gives a whole one.
        found = {(math.floor((1 - kept / width) * scale + 1e-6) + 1) / scale for width, kept in asked}
        return [0.0, *sorted(ratio for ratio in found if ratio < 1 and ratio <= most)]

    @property
    def _tried_ratio(self) -> float:
        return min(TRIED_RATIO, self.method.max_ratio)

    def network(self, ratio: float) -> tuple[nn.Module, Shape]:
        """Return the network at a ratio, and its shape.

        Raises:
            PruningError: If it cannot be pruned so far.
        """
        return self._kept(ratio)

    def _shape(self, method: MethodSpec) -> Shape | None:
        """Return the shape that a method gives at one ratio; None where it cannot prune to it."""
        self.method = method
        with suppress(PruningError):
            return self._pruned(self._tried_ratio)[1]
        return None

    def _pruned(self, ratio: float) -> tuple[nn.Module, Shape]:
        network = copy_network(self.dense)
        if ratio > 0:
            prune(network, self.dense, self.method, ratio, self.example, seed=0, losses=self._losses)
        return network, tuple(sorted(extent_of(network).shapes.items()))

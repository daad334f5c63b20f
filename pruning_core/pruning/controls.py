"""What the controls of a comparison cut: as the method whose networks they take, uniformly, or nothing.

Sources: training the pruned network from new weights, Liu et al., "Rethinking the Value of Network Pruning",
ICLR 2019; what a comparison of pruning methods needs, Blalock et al., "What is the State of Neural Network
Pruning?", MLSys 2020.
"""

from dataclasses import replace

from torch import nn

from pruning_core.pruning.base import Method, Outcome, PruningStep
from pruning_core.pruning.magnitude import Magnitude
from pruning_core.records.controls import DENSE_PLUS, THIN, scratch

REDRAWN_VERSION = 1
"""Raised whenever new weights would be drawn otherwise (`redrawn.py`); it enters the key."""

_SCOPES = ("local", "global", "isomorphic")


class Scratch:
    """The networks of a method, with new weights."""

    masks = False

    def __init__(self, of: Method) -> None:
        """Take over what a method can do.

        Args:
            of: It cuts channels.
        """
        self.of = of
        self.name, self.scopes, self.uses_data = scratch(of.name), of.scopes, of.uses_data

    def library_version(self) -> str:
        """Return what draws the weights; the parent's key holds what cut the network."""
        return f"redrawn {REDRAWN_VERSION}"

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Cut as the method does."""
        return self.of.prune(network, replace(step, spec=step.spec.model_copy(update={"name": self.of.name})))


class Thin:
    """Uniform width: each layer loses the same fraction, whatever is in it."""

    name = THIN
    scopes = _SCOPES
    masks = False
    uses_data = False

    def library_version(self) -> str:
        """Return what cuts, and what draws the weights."""
        return f"{Magnitude().library_version()}, redrawn {REDRAWN_VERSION}"

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Cut each layer to the same fraction; which channels stay does not matter, the weights are new."""
        update = {"name": Magnitude.name, "scope": "local"}
        return Magnitude().prune(network, replace(step, spec=step.spec.model_copy(update=update)))


class DensePlus:
    """The dense network: nothing is cut."""

    name = DENSE_PLUS
    scopes = _SCOPES
    masks = False
    uses_data = False

    def library_version(self) -> str:
        """Return that nothing is pruned."""
        return "nothing is pruned"

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Leave the network as it is."""
        return Outcome()

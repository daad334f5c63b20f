"""What every pruning method is: a name, what does its work, and a function that cuts a network.

Not for: fine-tuning, or deciding the order of ratios (`pipeline.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pruning_core.spec import MethodSpec


@dataclass(frozen=True)
class Pruning:
    """One step of pruning, as asked for."""

    spec: MethodSpec
    ratio: float  # relative to the dense widths, whatever was removed before
    dense: nn.Module  # the network as built, unpruned; its widths are what `ratio` is relative to
    example: Tensor  # (1, C, H, W)
    protected: tuple[str, ...]  # names of layers whose outputs stay: the classifier
    seed: int


class Method(Protocol):
    """A family of pruning methods."""

    name: str

    def library(self) -> str:
        """Return name and version of what does the pruning; it enters the key."""
        ...

    def prune(self, network: nn.Module, step: Pruning) -> Mapping[str, int]:
        """Cut `network`, in place, and return layer name → output width asked for, before rounding."""
        ...

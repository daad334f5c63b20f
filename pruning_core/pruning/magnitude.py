"""Rank channels by the L2 norm of their group of weights: the smallest go.

`magnitude`: within each layer, or (global) over all by the squared norm over its mean in the layer.
Source: Li et al., "PruningStep Filters for Efficient ConvNets", ICLR 2017, with the L2 norm taken over all
layers of a dependency group as in Fang et al., "DepGraph", CVPR 2023.

`lamp`: by the squared norm over the sum of those of the layer that are no smaller. So the k-th largest of any
layer scores about 1/k, whatever the layer's width and scale, and ranked over all layers together they keep
about as many channels each: wide layers give most, and none is emptied. Within one layer the order is that
of `magnitude`, so the scope is global.
Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based PruningStep", ICLR 2021, there for single
weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pruning_core.pruning.base import PruningStep
from pruning_core.pruning.structured import Importance, prune_structured, torch_pruning_version
from pruning_core.torchvision_compat import torch_pruning as tp


@dataclass
class Magnitude:
    """L2 norm of a channel's weights, group-wise, beside the others of its layer."""

    name: str
    importance: Importance
    scopes: tuple[str, ...]
    masks: bool = False

    def library(self) -> str:
        """Return the version of torch-pruning."""
        return torch_pruning_version()

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Cut the channels that rank lowest."""
        return prune_structured(network, step, self.importance)


MAGNITUDE = Magnitude("magnitude", tp.importance.MagnitudeImportance(p=2), ("local", "global"))
LAMP = Magnitude("lamp", tp.importance.LAMPImportance(p=2), ("global",))

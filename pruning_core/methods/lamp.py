"""Remove the channels whose weights are small beside those of their layer: layers keep about as many each.

A channel's score is its group's squared L2 norm over the sum of those of its layer that are no smaller. So
the k-th largest of any layer scores about 1/k, whatever the layer's width and scale, and ranked over all
layers together they keep about as many channels each: wide layers give most, and none is emptied. Within one
layer the order is that of `magnitude`, so the scope is global.

Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, there for single
weights; here over all layers of a dependency group as in Fang et al., "DepGraph", CVPR 2023.
"""

from collections.abc import Mapping

import torch_pruning as tp
from torch import nn

from pruning_core.methods.base import Pruning
from pruning_core.methods.structured import prune_structured, torch_pruning_version


class Lamp:
    """Squared L2 norm of a channel's weights, group-wise, over those of its layer's channels no smaller."""

    name = "lamp"
    masks = False
    scopes: tuple[str, ...] = ("global",)

    def library(self) -> str:
        """Return the version of torch-pruning."""
        return torch_pruning_version()

    def prune(self, network: nn.Module, step: Pruning) -> Mapping[str, int]:
        """Cut the channels with the smallest scores of all layers."""
        return prune_structured(network, step, tp.importance.LAMPImportance(p=2))

"""Remove the channels whose group of weights has the smallest L2 norm.

Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, with the L2 norm taken over all
layers of a dependency group as in Fang et al., "DepGraph", CVPR 2023.
"""

from collections.abc import Mapping

import torch_pruning as tp
from torch import nn

from pruning_core.methods.base import Pruning
from pruning_core.methods.structured import prune_structured, torch_pruning_version


class Magnitude:
    """L2 norm of a channel's weights, group-wise."""

    name = "magnitude"
    masks = False
    scopes: tuple[str, ...] = ("local", "global")

    def library(self) -> str:
        """Return the version of torch-pruning."""
        return torch_pruning_version()

    def prune(self, network: nn.Module, step: Pruning) -> Mapping[str, int]:
        """Cut the channels with the smallest norms."""
        return prune_structured(network, step, tp.importance.MagnitudeImportance(p=2))

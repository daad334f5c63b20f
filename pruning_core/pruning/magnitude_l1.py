"""Rank channels by the L1 norm of their group of weights: the smallest are cut.

Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, with the norm taken over all layers of
a dependency group.
"""

from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class MagnitudeL1(StructuredMethod):
    """L1 norm of a channel's weights, group-wise."""

    name = "magnitude-l1"

    def importance(self) -> Importance:
        """Return torch-pruning's score of magnitude, by L1."""
        score: Importance = tp.importance.MagnitudeImportance(p=1)
        return score

"""Rank channels by the L2 norm of their group of weights: the smallest are cut.

Within each layer, or (global) over all by the squared norm over its mean in the layer.

Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, with the L2 norm taken over all layers
of a dependency group as in Fang et al., "DepGraph", CVPR 2023.
"""

from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class Magnitude(StructuredMethod):
    """L2 norm of a channel's weights, group-wise."""

    name = "magnitude"

    def importance(self) -> Importance:
        """Return torch-pruning's score of magnitude."""
        score: Importance = tp.importance.MagnitudeImportance(p=2)
        return score

"""Rank channels over all layers by LAMP: the squared norm over the sum of those that are no smaller.

So the k-th largest channel of any layer scores about 1/k, whatever the layer's width and scale. Ranked over
all layers together they keep about as many channels each: wide layers lose most, and none is emptied. Within
one layer the order is that of `magnitude`, so the scope is not local.

Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, there for single
weights.
"""

from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class Lamp(StructuredMethod):
    """Squared L2 norm of a channel's weights, relative to the larger ones of its layer."""

    name = "lamp"
    scopes = ("global", "isomorphic")

    def importance(self) -> Importance:
        """Return torch-pruning's LAMP score."""
        score: Importance = tp.importance.LAMPImportance(p=2)
        return score

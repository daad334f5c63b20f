"""Rank channels by how far their weights are from those of all others: the most replaceable are cut.

torch-pruning takes distances between absolute weights, by which a filter and its negative are the same
(`results/notes/torch-pruning-scores.md`). Weights that are moved to be positive have the same distances as
before.

Source: He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration",
CVPR 2019, with distances averaged over all layers of a dependency group.
"""

from torch import Tensor, nn

from pruning_core.pruning.stand_in_weights import score_with
from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class GeometricMedian(StructuredMethod):
    """Sum of the distances from a channel's weights to those of the others, group-wise."""

    name = "fpgm"

    def importance(self) -> Importance:
        """Return torch-pruning's score of distances, between signed weights."""
        return score_with(tp.importance.FPGMImportance(p=1), _moved)


def _moved(weight: nn.Parameter) -> Tensor:
    return weight.data - weight.data.min()

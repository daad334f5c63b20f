"""Score the channels of a group as if its weights were others: one walk serves all scores.

torch-pruning walks over the layers of a group, adds up what belongs to a channel and averages over layers.
What stands in for the weights decides what that means: gradient times weight, say, or weights moved.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning_core.pruning.groups import Importance
from pruning_core.torchvision_compat import torch_pruning as tp


def score_with(score: Importance, stand_in: Callable[[nn.Parameter], Tensor]) -> Importance:
    """Return a score that reads other weights.

    Args:
        score: torch-pruning's function of a group.
        stand_in: Weight of a layer → what is read in its place, of the same shape and type.
    """

    @torch.no_grad()
    def scored(group: "tp.Group") -> Tensor | None:
        layers = {dependency.target.module for dependency, _ in group}
        weights = [
            layer.weight for layer in layers if isinstance(getattr(layer, "weight", None), nn.Parameter)
        ]
        before = {weight: weight.data for weight in weights}
        try:
            for weight in before:
                weight.data = stand_in(weight)
            return score(group)
        finally:
            for weight, data in before.items():
                weight.data = data

    return scored

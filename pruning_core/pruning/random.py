"""Remove channels by chance: the control that every other method must beat."""

from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class Random(StructuredMethod):
    """A uniformly random score for each channel, decided by the seed of the fine-tuning and the ratio."""

    name = "random"

    def importance(self) -> Importance:
        """Return torch-pruning's random score."""
        score: Importance = tp.importance.RandomImportance()
        return score

"""Rank channels by the scale of the batch norm behind them: the smallest are cut.

A group without a batch norm has no score and keeps its width. The ranking means most after a training that
drives scales to zero (the paper's sparse learning); without it scales say little. Over all layers it is by
the scales themselves, as in the paper, and not relative to a layer's mean, as torch-pruning has it: a layer
whose scales are all near zero goes first.

Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017.
"""

from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp


class BatchNormScale(StructuredMethod):
    """Absolute scale of a channel's batch norms, group-wise."""

    name = "bn-scale"

    def importance(self) -> Importance:
        """Return torch-pruning's score of batch-norm scales, as they are."""
        score: Importance = tp.importance.BNScaleImportance(normalizer=None)
        return score

"""Rank channels by how much the loss would change without them, to first order: weight times gradient.

The gradient is that of the mean loss over the examples, so that what they disagree on cancels.

Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, taken group-wise; the
sizes of single weights are added up, as torch-pruning does.
"""

from torch import nn

from pruning_core.pruning.base import Losses
from pruning_core.pruning.data_driven import DataDrivenMethod, Scores, gradients, mean_of


class Taylor(DataDrivenMethod):
    """Absolute weight times mean gradient, group-wise."""

    name = "taylor"

    def scores(self, network: nn.Module, losses: Losses) -> Scores:
        """Return |weight × mean gradient| of each weight."""
        mean = mean_of(gradients(network, losses(network, False)))
        return {weight: (weight.detach() * gradient).abs() for weight, gradient in mean.items()}

"""Rank channels by how much the loss would change without them, to second order, around a trained network.

There the gradient vanishes, and the diagonal of the Hessian is about the mean of squared gradients, one
example at a time: the empirical Fisher information.

Source: LeCun et al., "Optimal Brain Damage", NeurIPS 1989, taken group-wise.
"""

from torch import nn

from pruning_core.pruning.base import Losses
from pruning_core.pruning.data_driven import DataDrivenMethod, Scores, gradients, mean_of


class Hessian(DataDrivenMethod):
    """Squared weight times mean squared gradient, group-wise."""

    name = "hessian"

    def scores(self, network: nn.Module, losses: Losses) -> Scores:
        """Return weight² × mean of gradient² of each weight, with the labels that examples have."""
        squares = (
            {weight: gradient.square() for weight, gradient in found.items()}
            for found in gradients(network, losses(network, False))
        )
        return {weight: weight.detach().square() * mean for weight, mean in mean_of(squares).items()}

"""Rank channels by the Fisher information of the weights that make them: labels are drawn, not given.

Two things set it apart from `hessian`: the information is the true one, of labels drawn from what the network
predicts; and only the weights of layers that make the channels count, not of those that read them.

Source: Wang et al., "EigenDamage: Structured Pruning in the Kronecker-Factored Eigenbasis", ICML 2019, there
the baseline C-OBD, with the diagonal of the Fisher information.
"""

from torch import Tensor, nn

from pruning_core.pruning.base import Losses
from pruning_core.pruning.data_driven import DataDrivenMethod, Scores, gradients, mean_of
from pruning_core.pruning.structured import Importance
from pruning_core.torchvision_compat import torch_pruning as tp


class Obdc(DataDrivenMethod):
    """Squared weight times the diagonal of the Fisher information, of the layers that make a channel."""

    name = "obdc"

    def scores(self, network: nn.Module, losses: Losses) -> Scores:
        """Return weight² × mean of gradient² of each weight, with labels drawn from the predictions."""
        squares = (
            {weight: gradient.square() for weight, gradient in found.items()}
            for found in gradients(network, losses(network, True))
        )
        return {weight: weight.detach().square() * mean for weight, mean in mean_of(squares).items()}

    def importance(self) -> Importance:
        """Return the sum over a channel's weights in the layers that make it, averaged over these."""
        score: Importance = tp.importance.MagnitudeImportance(p=1)

        def of_makers(group: "tp.Group") -> Tensor | None:
            makers = (tp.prune_conv_out_channels, tp.prune_linear_out_channels)
            made = [item for item in group if item.dep.handler in makers]
            return score(made) if made else None

        return of_makers

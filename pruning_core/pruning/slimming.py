"""Network slimming: train on with an L1 penalty on the scales of batch norms, then cut as `bn-scale` does.

Only scales of channels that can be cut are pushed. Torch-pruning's BNScalePruner pushes all.

Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017.
"""

from torch import nn

from pruning_core.errors import PruningError
from pruning_core.pruning.bn_scale import BatchNormScale
from pruning_core.pruning.penalty import Penalty
from pruning_core.pruning.prepared import PreparedMethod


class ScalePenalty(Penalty):
    """The gradient of each scale gets strength × its sign."""

    default_strength = 1e-3

    @classmethod
    def check(cls, network: nn.Module) -> None:
        """Refuse a network without a batch norm that scales.

        Raises:
            PruningError: In one line.
        """
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not any(norm.weight is not None for norm in norms):
            raise PruningError(
                "slimming pushes the scales of batch norms, and this network has "
                f"{'none that scales' if norms else 'no batch norm'}; take group-norm or growing-reg"
            )

    def add_gradients(self) -> None:
        """Push scales by their sign."""
        for group in self.groups:
            by_channel = group.new_full(self.strength)
            for each in group.weights:
                if each.is_scale:
                    each.add(each.weight.sign() * each.by_position(by_channel))


class Slimming(PreparedMethod, BatchNormScale):
    """Absolute scale of a channel's batch norms, once a penalty has pushed these."""

    name = "slimming"
    penalty = ScalePenalty
    ranks_as = "bn-scale"

"""Train on with a decay that is the stronger, the smaller the norm of a channel; then cut as `magnitude`.

Within a group the largest norm decays with the strength itself, the smallest with `MAX_FACTOR` times it. The
norm is that of all weights of a channel: in the layers that make it, scale it and read it.

Source: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, as in torch-pruning's
GroupNormPruner.
"""

from pruning_core.pruning.magnitude import Magnitude
from pruning_core.pruning.penalty import Penalty, spread_of
from pruning_core.pruning.prepared import PreparedMethod

MAX_FACTOR = 16.0


class NormPenalty(Penalty):
    """The gradient of a weight gets strength × factor of its channel × the weight."""

    default_strength = 5e-4

    def add_gradients(self) -> None:
        """Decay the channels of each group, those of small norm most."""
        for group in self.groups:
            factors = MAX_FACTOR ** spread_of(group.squared_norms().sqrt())
            group.decay(self.strength * factors)


class GroupNorm(PreparedMethod, Magnitude):
    """L2 norm of a channel's weights, group-wise, once a penalty has driven norms apart."""

    name = "group-norm"
    penalty = NormPenalty
    ranks_as = "magnitude"

"""Train on with a decay that grows on channels of small importance; then cut as `magnitude` does.

All channels begin with the strength. After each epoch the least important of a group gets `growth` strengths
more, the most important none, those between in proportion to their squared norm.

Source: Wang et al., "Neural Pruning via Growing Regularization", ICLR 2021, as in torch-pruning's
GrowingRegPruner, but that one adds to copies of the gradients of batch norms, and so does not push these.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruning_core.pruning.channel_weights import ChannelGroup
from pruning_core.pruning.magnitude import Magnitude
from pruning_core.pruning.penalty import Penalty, spread_of
from pruning_core.pruning.prepared import PreparedMethod


class GrowingPenalty(Penalty):
    """The gradient of a weight gets the strength of its channel × the weight."""

    default_strength = 1e-4
    grows = True

    def __init__(
        self, network: nn.Module, groups: Sequence[ChannelGroup], strength: float, growth: float
    ) -> None:
        """Begin with the same strength for all channels (see `Penalty`)."""
        super().__init__(network, groups, strength, growth)
        self.strengths = {group.root: group.new_full(strength) for group in self.groups}
        """Root of a group → (channels,)."""

    def add_gradients(self) -> None:
        """Decay each channel by its strength."""
        for group in self.groups:
            group.decay(self.strengths[group.root])

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Let strengths grow, in place: a CUDA graph reads them where they are."""
        for group in self.groups:
            more = spread_of(group.squared_norms())
            self.strengths[group.root].add_(more, alpha=self.strength * self.growth)

    def state(self) -> dict[str, Tensor]:
        """Return the strengths by now."""
        return self.strengths

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on with strengths."""
        for root, strengths in self.strengths.items():
            strengths.copy_(state[root])


class GrowingReg(PreparedMethod, Magnitude):
    """L2 norm of a channel's weights, group-wise, once a growing penalty has driven norms apart."""

    name = "growing-reg"
    penalty = GrowingPenalty
    ranks_as = "magnitude"

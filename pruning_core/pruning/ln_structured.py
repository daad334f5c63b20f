"""Mask output channels of smallest norm: widths stay, so nothing is faster unless a runtime skips zeros.

Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, here masked, and by the L2 norm.
"""

from torch import nn
from torch.nn.utils import prune

from pruning_core.errors import PruningError
from pruning_core.pruning.base import Outcome, PruningStep
from pruning_core.pruning.masks import MaskingMethod, layers_to_mask, make_permanent


class LnStructured(MaskingMethod):
    """The output channels of smallest L2 norm become zero, layer by layer."""

    name = "ln-structured"
    scopes = ("local",)

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Zero round(ratio × channels) of each layer's output channels, those there are included.

        What is kept is rounded down to a multiple of `round_to`, as torch-pruning rounds, but not to
        nothing: `round_to` channels stay, or all where a layer has fewer.

        Raises:
            PruningError: If the scope is not local, there is no layer to mask, or one whose weight is not a
                plain parameter.
        """
        if step.spec.scope != "local":
            raise PruningError("ln-structured has only local scope: torch ranks channels layer by layer")
        round_to = step.spec.round_to
        for layer, ratio in layers_to_mask(network, step):
            channels = layer.weight.shape[0]
            kept = channels - round(ratio * channels)
            kept = max(kept - kept % round_to, min(round_to, channels))
            # Zero channels have the smallest norms: they count without a mask that names them.
            gone = channels - kept
            prune.ln_structured(layer, "weight", amount=gone, n=2, dim=0)  # type: ignore[no-untyped-call]
            make_permanent(layer)
        return Outcome()

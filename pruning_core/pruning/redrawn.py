"""New weights for the shape of a pruned network: those of a network built again, cut to the same plan.

What is left of a weight is scaled, so that a layer's outputs vary as much as before its inputs were cut: a
builder that draws by the number of inputs would have drawn so.
"""

import math

import torch
from torch import Tensor, nn

from pruning_core.errors import PruningError
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.loading import load_pruned, stored_tensors
from pruning_core.pruning.plain import make_plain

_OUTPUTS_FIRST = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.MultiheadAttention, nn.RNNBase)
_WEIGHTS = ("weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def redrawn(network: nn.Module, plan: ChannelPlan) -> nn.Module:
    """Return a network of a plan's shape with the weights of one that was just built, in its place.

    Args:
        network: Dense, as built from another seed than the one that the plan was made of.
        plan: Of the pruned network.

    Raises:
        PruningError: If the plan does not say which channels were kept.
    """
    if plan.made_plain:
        make_plain(network)
    scaled = _scaled_weights(network)
    weights = {}
    for name, tensor in stored_tensors(network).items():
        kept = plan.kept_indices(name)
        if kept is None:
            raise PruningError(
                f"{name!r} was cut by an earlier version, which did not say what was kept: make it again"
            )
        cut = tensor
        for dimension, index in enumerate(kept):
            if index is not None:
                cut = cut.index_select(dimension, index)
        if name in scaled:
            cut = cut * math.sqrt(_inputs(tensor, scaled[name]) / _inputs(cut, scaled[name]))
        weights[name] = cut
    with torch.no_grad():
        return load_pruned(network, plan, weights).eval()


def _scaled_weights(network: nn.Module) -> dict[str, int]:
    """Return the weights that read channels → the dimension of their outputs."""
    found = {}
    for owner, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, _OUTPUTS_FIRST):
            outputs = 1 if isinstance(module, nn.modules.conv._ConvTransposeNd) else 0
            for local, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1 and (local in _WEIGHTS or local.startswith("weight_")):
                    found[f"{owner}.{local}" if owner else local] = outputs
    return found


def _inputs(weight: Tensor, outputs: int) -> int:
    """Return how many numbers one output is summed from."""
    return weight.numel() // max(weight.shape[outputs], 1)

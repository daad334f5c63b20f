"""Mask two of every four neighbouring weights: the pattern that GPUs from NVIDIA's Ampere on execute.

Source: Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021.
"""

import torch
from torch import Tensor, nn

from pruning_core.errors import PruningError
from pruning_core.pruning.base import Outcome, PruningStep
from pruning_core.pruning.masks import MaskingMethod, layers_to_mask
from pruning_core.pruning.weight_rows import as_weight, rows_of

GROUP, GONE = 4, 2
"""Neighbouring weights of an output, and how many of them become zero."""


class SemiStructured(MaskingMethod):
    """Of every four neighbouring weights of an output the two nearest to zero become zero."""

    name = "semi-structured"
    scopes = ("local",)
    only_ratio = GONE / GROUP

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Zero half of the weights; those that are left over where four do not divide the inputs stay.

        `round_to` has no effect. A layer with a ratio of its own of 0 stays.

        Raises:
            PruningError: If a ratio is another one, there is no layer to mask, or one whose weight is not a
                plain parameter.
        """
        layers = layers_to_mask(network, step)
        others = sorted({ratio for _, ratio in layers} - {0.0, self.only_ratio})
        if others:
            raise PruningError(
                f"{self.name} masks {GONE} of every {GROUP} weights: its only ratio is {self.only_ratio:g}, "
                f"0 for layers that stay; got {', '.join(f'{ratio:g}' for ratio in others)}"
            )
        for layer, ratio in layers:
            if ratio:
                with torch.no_grad():
                    layer.weight.masked_fill_(smallest_of_each_group(layer.weight), 0.0)
        return Outcome()


def smallest_of_each_group(weight: Tensor) -> Tensor:
    """Find the two smallest of every four weights; of equal ones the first.

    Args:
        weight: (O, I) or (O, I, kh, kw); groups lie along I.

    Returns:
        bool of the weight's shape, true where it is one of them.
    """
    rows = rows_of(weight.detach()).abs()
    whole = rows.shape[-1] - rows.shape[-1] % GROUP
    groups = rows[..., :whole].reshape(*rows.shape[:-1], -1, GROUP)  # (O, …, I / 4, 4)
    gone = torch.zeros_like(rows, dtype=torch.bool)
    smallest = groups.argsort(dim=-1, stable=True)[..., :GONE]
    gone[..., :whole] = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, smallest, True).flatten(-2)
    return as_weight(gone)

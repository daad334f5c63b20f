"""Mask whole blocks of weights, for kernels that skip blocks of zeros.

Source: Narang, Undersander and Diamos, "Block-Sparse Recurrent Neural Networks", 2017; here by mean squares.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.pruning.base import Outcome, PruningStep
from pruning_core.pruning.masks import MaskingMethod, layers_to_mask
from pruning_core.pruning.weight_rows import as_weight, rows_of

BLOCK_SIDE = 8
"""Rows and columns of a block: what PyTorch's block-sparse products on a CPU are fastest with (`README.md` of
`backends/`)."""


class BlockSparse(MaskingMethod):
    """The square blocks of smallest mean square become zero, layer by layer."""

    name = "block-sparse"
    scopes = ("local",)

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Zero round(ratio × blocks) of the blocks of each layer, those that are zero included; one stays.

        At the last rows and columns a block may be smaller. `round_to` has no effect.

        Raises:
            PruningError: If there is no layer to mask, or one whose weight is not a plain parameter.
        """
        for layer, ratio in layers_to_mask(network, step):
            with torch.no_grad():
                layer.weight.masked_fill_(smallest_blocks(layer.weight, ratio), 0.0)
        return Outcome()


def smallest_blocks(weight: Tensor, ratio: float) -> Tensor:
    """Find the blocks of smallest mean square; of equal ones the first.

    Args:
        weight: (O, I) or (O, I, kh, kw); blocks lie in the product's matrix (O, kh · kw · I).
        ratio: Of the blocks, fraction.

    Returns:
        bool of the weight's shape, true in these blocks.
    """
    rows = rows_of(weight.detach())
    matrix = rows.flatten(1)
    scores = _sums_of_blocks(matrix**2) / _sums_of_blocks(torch.ones_like(matrix))
    count = min(round(ratio * scores.numel()), scores.numel() - 1)
    chosen = torch.zeros(scores.numel(), dtype=torch.bool, device=weight.device)
    chosen[scores.flatten().argsort(stable=True)[:count]] = True
    spread = chosen.view(scores.shape).repeat_interleave(BLOCK_SIDE, 0).repeat_interleave(BLOCK_SIDE, 1)
    height, width = matrix.shape
    return as_weight(spread[:height, :width].reshape(rows.shape))


def _sums_of_blocks(matrix: Tensor) -> Tensor:
    """Sum each block of a matrix, the smaller ones at its end too: (blocks down, blocks across)."""
    height, width = matrix.shape
    padded = F.pad(matrix, (0, -width % BLOCK_SIDE, 0, -height % BLOCK_SIDE))
    height, width = (side // BLOCK_SIDE for side in padded.shape)
    return padded.view(height, BLOCK_SIDE, width, BLOCK_SIDE).sum((1, 3))

"""The weights of a layer as the rows of a product: one for each output, input channels innermost.

So a convolution reads its image when that is laid out in channels_last, and so the kernels of sparse products
count neighbours, along what a product sums over.
"""

from torch import Tensor


def rows_of(weight: Tensor) -> Tensor:
    """Return a weight with its input channels last.

    Args:
        weight: Of Linear (O, I), or of Conv2d (O, I, kh, kw).

    Returns:
        The same numbers, (O, I) or (O, kh, kw, I).
    """
    return weight.permute(0, 2, 3, 1) if weight.dim() == 4 else weight


def as_weight(rows: Tensor) -> Tensor:
    """Return what `rows_of` gave in the order of a weight."""
    return rows.permute(0, 3, 1, 2) if rows.dim() == 4 else rows

"""How the images of an epoch are divided into batches: no last batch holds one image alone.

A batch norm of flat features, or of maps of one pixel, cannot compute a variance over one image. So a last
batch of one image joins the one before, for every network alike.
"""

import torch
from torch import Tensor


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """Return the images in each batch of an epoch.

    Args:
        images: In the split, at least 1.
        batch_size: Images in all batches but the last; asked for 1, each image is a batch.
    """
    whole, left = divmod(images, batch_size)
    sizes = [batch_size] * whole + [left] * (left > 0)
    if len(sizes) > 1 and left == 1:
        sizes[-2:] = [batch_size + 1]
    return sizes


def split_epoch(choices: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Divide what was drawn for an epoch, (N, columns), into its batches."""
    return torch.split(choices, batch_sizes(len(choices), batch_size))

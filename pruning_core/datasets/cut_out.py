"""Cut-out: a square of each training image shows nothing, so that no one detail of it is enough.

Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
"""

import torch
from torch import Tensor


def draw_centres(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw where the square of each image lies: any pixel may be its centre, also at the border.

    Args:
        count: Images.
        height: Of an image, in pixels.
        width: Of an image, in pixels.
        generator: Of the CPU.

    Returns:
        int64 (N, 2): row and column of each centre.
    """
    sides = (torch.randint(0, side, (count, 1), generator=generator) for side in (height, width))
    return torch.cat(list(sides), dim=1)


def cut_squares(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Set a square of each image to zero, the mean of normalised images; at the border less of it is seen.

    Args:
        images: Normalised, float32 (N, C, H, W), on any device.
        centres: As `draw_centres` returns them, on that device.
        side: Of the squares, in pixels.

    Returns:
        New images, float32 (N, C, H, W).
    """
    first = centres - side // 2  # (N, 2)
    inside = []
    for axis, length in enumerate(images.shape[2:]):
        pixels = torch.arange(length, device=images.device) - first[:, axis : axis + 1]  # (N, length)
        inside.append((pixels >= 0) & (pixels < side))
    rows, columns = inside
    square = rows[:, None, :, None] & columns[:, None, None, :]  # (N, 1, H, W)
    return images.masked_fill(square, 0.0)

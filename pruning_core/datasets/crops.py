"""Random resized crops out of stored pictures, and the central crop: one for each image of a batch.

A picture is stored squeezed into one shape, with the size that it had. A part of it is drawn as torchvision's
`RandomResizedCrop` draws it out of the picture itself; where it lies in the stored one follows by proportion.
Evidence: `datasets/README.md`.
"""

import math

import torch
from torch import Tensor

from pruning_core.pictures.decode import CROP_FRACTION

UNITS = 1 << 16
"""Of a stored picture's side, in which a part of it is given: whole numbers, as all that is drawn."""

MIN_AREA, MAX_ASPECT = 0.08, 4 / 3
"""Of a random part: the least share of the area; the most that it is longer than wide, or wider than long."""

_TRIES = 10


def draw_parts(sizes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a part of each picture; after ten tries that do not fit in it, its middle, within MAX_ASPECT.

    Args:
        sizes: int64 (N, 2), heights and widths of the pictures before they were stored.
        generator: Of the CPU.

    Returns:
        int64 (N, 4): top, left, height and width, in UNITS of the stored sides.
    """
    count = len(sizes)
    drawn = torch.rand((4, count, _TRIES), dtype=torch.float64, generator=generator)
    sides = sizes.to(torch.float64)  # (N, 2)
    areas = sides.prod(1, keepdim=True) * (MIN_AREA + (1 - MIN_AREA) * drawn[0])  # (N, tries)
    aspects = torch.exp(math.log(MAX_ASPECT) * (2 * drawn[1] - 1))  # width ÷ height
    heights, widths = (areas / aspects).sqrt().round(), (areas * aspects).sqrt().round()
    fits = (heights > 0) & (widths > 0) & (heights <= sides[:, :1]) & (widths <= sides[:, 1:])
    first = fits.to(torch.int8).argmax(1, keepdim=True)  # the first that fits, or 0
    part = torch.stack([t.gather(1, first)[:, 0] for t in (heights, widths)], 1)  # (N, 2)
    limited = torch.minimum(sides, (sides.flip(1) * MAX_ASPECT).round())
    found = fits.any(1, keepdim=True)
    part = torch.where(found, part, limited)
    free = sides - part
    random = torch.stack([t.gather(1, first)[:, 0] for t in drawn[2:]], 1)  # (N, 2)
    corner = torch.where(found, (random * (free + 1)).floor(), (free / 2).floor())
    return (torch.cat([corner / sides, part / sides], 1) * UNITS).round().to(torch.int64)


def central_parts(sizes: Tensor, height: int, width: int) -> Tensor:
    """Return the part of each picture that a test picture would show, as `draw_parts` does."""
    sides = sizes.to(torch.float64)
    wanted = torch.tensor([height, width], dtype=torch.float64)
    scale = (wanted / CROP_FRACTION / sides).amax(1, keepdim=True)  # (N, 1)
    part = wanted / scale / sides  # (N, 2), fractions
    return (torch.cat([(1 - part) / 2, part], 1) * UNITS).round().to(torch.int64)


def resize_parts(images: Tensor, parts: Tensor, mirrored: Tensor, height: int, width: int) -> Tensor:
    """Cut a part out of each image and resize it: bilinear, antialiased, to fractions of a grey level.

    Two products of matrices do it for all at once, wherever the images are.

    Args:
        images: uint8 (N, C, H, W).
        parts: int64 (N, 4), as `draw_parts` returns them, where the images are.
        mirrored: int64 (N,), 1 where the outcome is mirrored.
        height: Of what comes out.
        width: Of what comes out.

    Returns:
        float32 (N, C, height, width).
    """
    rows = _weights(parts[:, 0], parts[:, 2], images.shape[2], height)  # (N, height, H)
    columns = _weights(parts[:, 1], parts[:, 3], images.shape[3], width)  # (N, width, W)
    columns = torch.where(mirrored[:, None, None] > 0, columns.flip(1), columns)
    count, channels, stored_height, stored_width = images.shape
    flat = images.to(torch.float32).view(count, channels * stored_height, stored_width)
    narrow = torch.bmm(flat, columns.transpose(1, 2))  # (N, C × H, width)
    return torch.matmul(rows[:, None], narrow.view(count, channels, stored_height, width))


def _weights(starts: Tensor, lengths: Tensor, stored: int, wanted: int) -> Tensor:
    """Return how much of each stored pixel goes into each wanted one: (N, wanted, stored), rows sum to 1."""
    first = (starts.to(torch.float32) / UNITS * stored)[:, None, None]
    length = (lengths.to(torch.float32) / UNITS * stored)[:, None, None]
    scale = length / wanted
    middle = first + (torch.arange(wanted, device=starts.device)[:, None] + 0.5) * scale  # (N, wanted, 1)
    pixels = torch.arange(stored, device=starts.device)  # (stored,)
    weights = (1 - (pixels + 0.5 - middle).abs() / scale.clamp(min=1)).clamp(min=0)
    slack = stored / UNITS  # what a part was rounded by is no pixel of it
    inside = (pixels + 1 > first + slack) & (pixels < first + length - slack) | (pixels == middle.floor())
    weights = weights * inside
    return weights / weights.sum(2, keepdim=True)

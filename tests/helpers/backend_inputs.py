"""What the tests of backends run: a small network, the same each time, and images for it."""

import torch
from torch import Tensor

from tests.helpers.factories import Tiny
from tests.helpers.mask_networks import build_tiny


def tiny() -> Tiny:
    """Build the small network in evaluation mode, with the same weights each time."""
    return build_tiny().eval()


def images_of(n: int, seed: int = 0, side: int = 32) -> Tensor:
    """Draw normalised images, (n, 3, side, side)."""
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))

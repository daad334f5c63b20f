"""Losses on made-up examples, for methods that rank by training examples."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruning_core.pruning import METHODS
from pruning_core.pruning.base import Losses


def losses_on(inputs: Tensor, labels: Tensor) -> Losses:
    """Return the cross-entropy of each of some images; labels are always those of the argument."""

    def losses(network: nn.Module, _drawn_labels: bool) -> Iterator[Tensor]:
        for image, label in zip(inputs, labels, strict=True):
            yield functional.cross_entropy(network(image[None]), label[None])

    return losses


def losses_for(name: str, image: tuple[int, int, int] = (3, 32, 32), classes: int = 10) -> Losses | None:
    """Return losses on four random images for a method that needs them; None for all others."""
    if not METHODS[name].uses_data:
        return None
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *image, generator=generator)
    return losses_on(images, torch.arange(4) % classes)

"""Images as somebody else keeps them: 16×16, four classes, whose class shows in which corner is bright."""

import torch

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset

NAMES = ("top left", "top right", 'bottom "left"', "bottom <right> & ünïcode")


def load() -> Dataset:
    """Return the dataset: 160 images for training, 70 for test."""
    return make_dataset(
        "corners",
        NAMES,
        _split(160, seed=0),
        _split(70, seed=1),
        mean=(0.2, 0.3, 0.4),
        std=(0.25, 0.2, 0.15),
        augment=AugmentSpec(flip=False, crop_padding=0),
    )


def _split(n: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 90, (n, 3, 16, 16), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 4
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 8 * (label // 2), 8 * (label % 2)
        image[:, row : row + 8, column : column + 8] += 70
    return Split(images, labels)

"""Splits of random pixels whose labels tell the images apart."""

import torch

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset

CROP_AND_FLIP = AugmentSpec(flip=True, crop_padding=2)


def make_split(count: int = 10, seed: int = 0) -> Split:
    """Random pixels, 3×6×8, and labels that tell the images apart."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 6, 8), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count))


def make_small(count: int = 10, augment: AugmentSpec = CROP_AND_FLIP) -> Dataset:
    """Describe a random split with constants that are easy to check."""
    split = make_split(count)
    names = [str(label) for label in range(10)]
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    return make_dataset("small", names, split, make_split(4, seed=1), mean=mean, std=std, augment=augment)

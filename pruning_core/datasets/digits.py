"""scikit-learn's handwritten digits: the dataset that needs no files and no download."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset
from pruning_core.datasets.source import Source


def load_digits(source: Source) -> Dataset:
    """Load scikit-learn's handwritten digits, enlarged fourfold; a fifth are for testing.

    Not mirrored when augmented: a mirrored digit is no digit.
    """
    from sklearn.datasets import load_digits as load_raw  # takes a second to import

    raw = load_raw()
    small = torch.from_numpy(raw.images).to(torch.float32)[:, None]  # (N, 1, 8, 8), whole numbers 0 … 16
    # Bilinear weights here are multiples of 1/8: every sum is exact, so all machines get the same pixels.
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = (large * 255 / 16).round().to(torch.uint8).repeat(1, 3, 1, 1)  # (N, 3, 32, 32)
    labels = torch.from_numpy(raw.target).to(torch.int64)
    train, test = _split_by_class(images, labels, test_fraction=0.2)
    return make_dataset(
        "digits",
        [str(digit) for digit in range(10)],
        train,
        test,
        mean=(0.3057,) * 3,
        std=(0.3241,) * 3,
        augment=AugmentSpec(flip=False, crop_padding=2),
    )


def _split_by_class(images: Tensor, labels: Tensor, test_fraction: float) -> tuple[Split, Split]:
    """Draw the same fraction of each class for testing, always the same images."""
    random = np.random.RandomState(0)  # its stream is frozen by numpy's policy; newer generators' is not
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        members = torch.nonzero(labels == label).squeeze(1).numpy()
        shuffled = random.permutation(members)
        chosen[torch.from_numpy(shuffled[: round(test_fraction * len(members))])] = True
    return Split(images[~chosen], labels[~chosen]), Split(images[chosen], labels[chosen])

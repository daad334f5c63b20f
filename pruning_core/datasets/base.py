"""What a dataset is: two splits of uint8 images with their labels, and a spec that describes them.

    from pruning_core.datasets.base import Dataset, Split, make_dataset

A user's own dataset imports them from here too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruning_core.config.spec import AugmentSpec, DatasetSpec

_CHUNK_IMAGES = 4096
"""Images read at a time, which bounds the memory of a pass over a memory-mapped split."""


@dataclass(frozen=True)
class Split:
    """Images with their labels: uint8 (N, C, H, W) and int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Dataset:
    """A training and a test split, and all that a spec says of them."""

    spec: DatasetSpec
    class_names: tuple[str, ...]
    train: Split
    test: Split


def make_dataset(
    name: str,
    class_names: Sequence[str],
    train: Split,
    test: Split,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    augment: AugmentSpec,
    fingerprint: str = "",
) -> Dataset:
    """Describe two splits by their content.

    Args:
        name: The name in the spec: never a path.
        class_names: Label 0 first.
        train: uint8 (N, C, H, W) and int64 (N,).
        test: As `train`, with the same C, H, W.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, of pixels scaled to [0, 1].
        augment: How training images are augmented.
        fingerprint: Of these very splits; computed when empty.
    """
    _, channels, height, width = train.images.shape
    spec = DatasetSpec(
        name=name,
        fingerprint=fingerprint or compute_fingerprint(train, test),
        classes=len(class_names),
        channels=channels,
        height=height,
        width=width,
        mean=mean,
        std=std,
        augment=augment,
    )
    return Dataset(spec, tuple(class_names), train, test)


def compute_fingerprint(train: Split, test: Split) -> str:
    """Hash the shapes, pixels and labels of both splits, in their order.

    Returns:
        32 hexadecimal digits, the same on every machine.
    """
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(f"{tuple(split.images.shape)}".encode())
        for chunk in torch.split(split.images, _CHUNK_IMAGES):
            digest.update(chunk.cpu().contiguous().numpy().data)
        digest.update(split.labels.cpu().numpy().astype("<i8").data)  # little-endian everywhere
    return digest.hexdigest()[:32]


def compute_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Counted in whole numbers, so that every machine gets the same floats and with them the same key.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        Mean and (population) standard deviation, rounded. A constant channel has the deviation of one grey
        level, so that it can be divided by.
    """
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.int64)
        for chunk in torch.split(images, _CHUNK_IMAGES):
            counts += torch.bincount(chunk[:, channel].reshape(-1), minlength=256).cpu()
        pixels = int(counts.sum())
        first = sum(value * count for value, count in enumerate(counts.tolist()))
        second = sum(value * value * count for value, count in enumerate(counts.tolist()))
        variance = (pixels * second - first * first) / (pixels * pixels)
        means.append(round(first / pixels / 255, 6))
        stds.append(round(max(variance**0.5, 1.0) / 255, 6))
    return tuple(means), tuple(stds)

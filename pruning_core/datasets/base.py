"""What a dataset is: two splits of uint8 images with their labels, and a spec that describes them.

    from pruning_core.datasets.base import Dataset, Split, make_dataset

A user's own dataset imports them from here too.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets.on_the_way import Images, announce

_CHUNK_BYTES = 16 * 2**20
"""Images read at a time, which bounds the memory of a pass over a split that memory does not hold."""


@dataclass(frozen=True)
class Split:
    """Images with their labels: uint8 (N, C, H, W) and int64 (N,)."""

    images: Images
    labels: Tensor
    sizes: Tensor | None = None
    """int64 (N, 2): height and width of each picture before it was squeezed; None: it was not."""


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
        test: As `train`; its C, H, W are those of the dataset, and of `train` unless that has `sizes`.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, of pixels scaled to [0, 1].
        augment: How training images are augmented.
        fingerprint: Of these very splits; computed when empty.
    """
    _, channels, height, width = test.images.shape
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
    """Hash the shapes, pixels and labels of both splits, and the sizes before, in their order.

    Returns:
        32 hexadecimal digits, the same on every machine.
    """
    return describe_splits(train, test)[0]


def compute_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        Mean and (population) standard deviation, rounded. A constant channel has the deviation of one grey
        level, so that it can be divided by.
    """
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in _chunks(images):
        counts += _count_levels(chunk)
    return _statistics(counts)


def describe_splits(train: Split, test: Split) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Return the fingerprint, and what `compute_statistics` says of the training images, in one pass."""
    digest = hashlib.sha256()
    counts = torch.zeros(train.images.shape[1], 256, dtype=torch.int64)
    for split in (train, test):
        digest.update(f"{tuple(split.images.shape)}".encode())
        for chunk in _chunks(split.images):
            digest.update(chunk.numpy().data)
            if split is train:
                counts += _count_levels(chunk)
        digest.update(split.labels.cpu().numpy().astype("<i8").data)  # little-endian everywhere
        if split.sizes is not None:
            digest.update(split.sizes.cpu().numpy().astype("<i8").data)
    return digest.hexdigest()[:32], *_statistics(counts)


def _chunks(images: Images) -> Iterator[Tensor]:
    """Walk over images, some at a time, on the CPU."""
    step = max(1, _CHUNK_BYTES // max(1, images.shape[1:].numel()))
    starts = range(0, len(images), step)
    announce(images, (torch.arange(start, min(start + step, len(images))) for start in starts))
    for start in starts:
        yield images[start : start + step].cpu().contiguous()


def _count_levels(chunk: Tensor) -> Tensor:
    """Count the grey levels of each channel: uint8 (n, C, H, W) → int64 (C, 256)."""
    channels = range(chunk.shape[1])
    return torch.stack([torch.bincount(chunk[:, c].reshape(-1), minlength=256) for c in channels])


def _statistics(counts: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and deviation in whole numbers: all machines get the same floats, and so the same key."""
    means, stds = [], []
    for levels in counts.tolist():
        pixels = sum(levels)
        first = sum(value * count for value, count in enumerate(levels))
        second = sum(value * value * count for value, count in enumerate(levels))
        variance = (pixels * second - first * first) / (pixels * pixels)
        means.append(round(first / pixels / 255, 6))
        stds.append(round(max(variance**0.5, 1.0) / 255, 6))
    return tuple(means), tuple(stds)

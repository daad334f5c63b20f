"""Batches: what is drawn by chance for a pass over a split, and the images that follow from it.

    choices = sample_epoch(split, spec, 256, shuffle, augmentation)   # on the CPU
    images, labels = make_batch(split, spec, choices[:256], device)   # where the images are

Pixels stay uint8 until a batch is cropped and mirrored: four times less memory to move than float32.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import torch
from torch import Tensor

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets.base import Split
from pruning_core.datasets.crops import central_parts, draw_parts, resize_parts
from pruning_core.datasets.on_the_way import announce

_WITH_SHIFTS, _WITH_PARTS = 4, 6
"""Columns of what was drawn of an epoch: where images are shifted, and where they are parts of others."""


def batches(
    split: Split, spec: DatasetSpec, batch_size: int, *, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pass once over a split in its own order, without augmentation; every image comes exactly once.

    Args:
        split: Images and labels, on the CPU or already on `device`.
        spec: The dataset they belong to: how to normalise.
        batch_size: Images in a batch; the last may hold fewer.
        device: Where the batches are wanted.

    Returns:
        Pairs of normalised images, float32 (B, C, H, W), and labels, int64 (B,), on `device`.
    """
    if not len(split.labels):
        return
    choices = torch.split(sample_epoch(split, spec, batch_size).to(split.images.device), batch_size)
    announce_batches(split, choices)
    for chosen in choices:
        yield make_batch(split, spec, chosen, device)


def announce_batches(split: Split, choices: Iterable[Tensor]) -> None:
    """Say what `make_batch` will be asked for next: images that are decoded on the way are begun with.

    Args:
        split: Images and labels.
        choices: Batch by batch, rows of what `sample_epoch` gave.
    """
    announce(split.images, (chosen[:, 0] for chosen in choices))


def sample_epoch(
    split: Split,
    spec: DatasetSpec,
    batch_size: int,
    shuffle: torch.Generator | None = None,
    augmentation: torch.Generator | None = None,
) -> Tensor:
    """Draw all chance of one pass over a split: which image comes when, and how it is augmented.

    Drawn on the CPU, whatever device the images are on, so that a seed means the same images everywhere.

    Args:
        split: Images and labels.
        spec: The dataset they belong to: how to augment, and the size that is wanted.
        batch_size: Images in a batch; batches draw one after another.
        shuffle: Shuffles, when given. A generator of the CPU.
        augmentation: Crops and mirrors as `spec.augment` says, when given. A generator of the CPU.

    Returns:
        int64 (N, 1): index of the image; with `augmentation` (N, 4): then rows and columns by which it is
        shifted, and 1 where it is mirrored. Where the images are parts of stored ones (N, 6): index, top,
        left, height and width of the part (see `crops.py`), and 1 where it is mirrored.
    """
    total = len(split.labels)
    indices = torch.arange(total) if shuffle is None else torch.randperm(total, generator=shuffle)  # (N,)
    random_parts = augmentation is not None and spec.augment.resized_crop
    if random_parts or tuple(split.images.shape[2:]) != (spec.height, spec.width):
        parts = _sample_parts(split, spec, indices, augmentation if random_parts else None)
        return torch.cat([indices[:, None], parts], 1)
    if augmentation is None:
        return indices[:, None]
    sizes = [min(batch_size, total - start) for start in range(0, total, batch_size)]
    return torch.cat(
        [indices[:, None], torch.cat([_sample_augmentation(n, spec.augment, augmentation) for n in sizes])], 1
    )


def _sample_augmentation(count: int, spec: AugmentSpec, generator: torch.Generator) -> Tensor:  # -> (B, 3)
    padding = spec.crop_padding
    shifts = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator) - padding  # (2, B, 1)
    return torch.cat([shifts[0], shifts[1], _sample_mirrored(count, spec, generator)], dim=1)


def _sample_mirrored(count: int, spec: AugmentSpec, generator: torch.Generator) -> Tensor:  # -> (B, 1)
    if not spec.flip:
        return torch.zeros(count, 1, dtype=torch.int64)
    return (torch.rand((count, 1), generator=generator) < 0.5).long()


def _sample_parts(
    split: Split, spec: DatasetSpec, indices: Tensor, generator: torch.Generator | None
) -> Tensor:  # -> (N, 5)
    sizes = split.sizes
    if sizes is None:
        sizes = torch.tensor(split.images.shape[2:]).expand(len(split.labels), 2)
    sizes = sizes.cpu()[indices]
    if generator is None:
        parts = central_parts(sizes, spec.height, spec.width)
        return torch.cat([parts, torch.zeros(len(indices), 1, dtype=torch.int64)], 1)
    parts = draw_parts(sizes, generator)
    return torch.cat([parts, _sample_mirrored(len(indices), spec.augment, generator)], 1)


def make_batch(
    split: Split, spec: DatasetSpec, choices: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Make a batch of what was drawn for it; where all is on one device, without waiting for it.

    Args:
        split: Images and labels, on the CPU or already on `device`.
        spec: The dataset they belong to.
        choices: int64 (B, 1), (B, 4) or (B, 6), some rows of what `sample_epoch` gave, where the split is.
        device: Where the batch is wanted.

    Returns:
        Normalised images, float32 (B, C, H, W), and labels, int64 (B,), on `device`.
    """
    images = split.images[choices[:, 0]].to(device)  # (B, C, H, W)
    labels = split.labels[choices[:, 0].to(split.labels.device)].to(device)  # (B,)
    drawn = choices[:, 1:].to(device, non_blocking=True)
    if choices.shape[1] == _WITH_SHIFTS:
        images = augment(images, drawn)
    elif choices.shape[1] == _WITH_PARTS:
        images = resize_parts(images, drawn[:, :4], drawn[:, 4], spec.height, spec.width)
    return normalise(images, spec), labels


def normalise(images: Tensor, spec: DatasetSpec) -> Tensor:
    """Scale pixels to [0, 1], then to mean 0 and deviation 1 over the training images.

    Args:
        images: uint8 (N, C, H, W), or float32 of the same range.
        spec: Holds mean and std of each channel.

    Returns:
        float32 (N, C, H, W).
    """
    scale, shift = _scale_and_shift(spec.mean, spec.std, images.device)
    # (x / 255 - mean) / std in two passes; `mul` makes the float32 copy that `sub_` then works on.
    return images.mul(scale).sub_(shift)


@lru_cache(maxsize=8)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make (1, C, 1, 1) tensors of 1 / (255 std) and mean / std, once: making them waits for a GPU."""
    means = torch.tensor(mean, device=device).view(1, -1, 1, 1)
    stds = torch.tensor(std, device=device).view(1, -1, 1, 1)
    return 1.0 / (255.0 * stds), means / stds


def augment(images: Tensor, choices: Tensor) -> Tensor:
    """Shift each image within its reflected border, and mirror some of them.

    As a random crop out of a reflect-padded batch, without the padding: one gather takes every pixel
    from where crop, reflection and mirror say it comes from.

    Args:
        images: uint8 (N, C, H, W).
        choices: int64 (N, 3): rows and columns by which each is shifted, and 1 where it is mirrored.

    Returns:
        uint8 (N, C, H, W).
    """
    count, channels, height, width = images.shape
    rows = _reflect(torch.arange(height, device=images.device) + choices[:, 0:1], height)  # (N, H)
    columns = _reflect(torch.arange(width, device=images.device) + choices[:, 1:2], width)  # (N, W)
    columns = torch.where(choices[:, 2:3] > 0, columns.flip(1), columns)
    source = rows[:, :, None] * width + columns[:, None, :]  # (N, H, W), index into H × W
    source = source.view(count, 1, height * width)
    pixels = images.reshape(count, channels, height * width)
    return pixels.gather(2, source.expand(-1, channels, -1)).view(images.shape)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside [0, size) back as in a mirror whose first and last pixel stand once."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()

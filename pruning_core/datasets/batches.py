"""Images as tensors: a split, its description, and the batches that a network is fed with.

Pixels stay uint8 until a batch has been cropped and mirrored: four times less memory to move than float32.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pruning_core.config.spec import AugmentSpec, DatasetSpec

_CHUNK_IMAGES = 4096  # bounds the memory of a pass over a memory-mapped split


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
        name: What stands in the spec: never a path.
        class_names: Label 0 first.
        train: uint8 (N, C, H, W) and int64 (N,).
        test: As `train`, with the same C, H, W.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, of pixels scaled to [0, 1].
        augment: How training images are varied.
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
        Mean and (population) standard deviation, six digits each. A constant channel has the deviation of
        one grey level, 1/255, so that it can be divided by.
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


def batches(
    split: Split,
    spec: DatasetSpec,
    batch_size: int,
    *,
    order: torch.Generator | None = None,
    augmentation: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk once over a split; every image comes exactly once, also those of a smaller last batch.

    Args:
        split: Images and labels, on the CPU or already on `device`.
        spec: The dataset they belong to: how to normalise and how to augment.
        batch_size: Images in a batch; the last may hold fewer.
        order: Shuffles, when given. A generator of the CPU, whatever `device` is, so that a seed means
            the same order everywhere.
        augmentation: Crops and mirrors as `spec.augment` says, when given. A generator of the CPU.
        device: Where the batches are wanted.

    Returns:
        Pairs of normalised images, float32 (B, C, H, W), and labels, int64 (B,), on `device`.
    """
    total = len(split.labels)
    drawn = (
        None if order is None and augmentation is None else draw(total, spec, batch_size, order, augmentation)
    )
    if drawn is not None:
        drawn = drawn.to(split.images.device)  # once: a copy for each batch would wait for the device
    for start in range(0, total, batch_size):
        chosen = slice(start, min(start + batch_size, total))
        if drawn is None:
            images = normalise(split.images[chosen].to(device), spec)
            yield images, split.labels[chosen].to(device)
        else:
            yield make_batch(split, spec, drawn[chosen], device)


def draw(
    total: int,
    spec: DatasetSpec,
    batch_size: int,
    order: torch.Generator | None,
    augmentation: torch.Generator | None,
) -> Tensor:
    """Draw all chance of one walk over a split, on the CPU: which image comes when, and how it is varied.

    Args:
        total: Images in the split.
        spec: The dataset they belong to.
        batch_size: Images in a batch; batches draw one after another.
        order: Shuffles, when given.
        augmentation: Crops and mirrors, when given.

    Returns:
        int64 (N, 1): number of the image; with `augmentation` (N, 4): then rows and columns by which it is
        shifted, and 1 where it is mirrored.
    """
    numbers = torch.arange(total) if order is None else torch.randperm(total, generator=order)  # (N,)
    if augmentation is None:
        return numbers[:, None]
    sizes = [min(batch_size, total - start) for start in range(0, total, batch_size)]
    return torch.cat(
        [numbers[:, None], torch.cat([_draw_batch(n, spec.augment, augmentation) for n in sizes])], 1
    )


def _draw_batch(count: int, augment: AugmentSpec, generator: torch.Generator) -> Tensor:  # -> (B, 3)
    padding = augment.crop_padding
    shifts = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator) - padding  # (2, B, 1)
    mirrored = torch.zeros(count, 1, dtype=torch.int64)
    if augment.flip:
        mirrored = (torch.rand((count, 1), generator=generator) < 0.5).long()
    return torch.cat([shifts[0], shifts[1], mirrored], dim=1)


def make_batch(
    split: Split, spec: DatasetSpec, drawn: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Make a batch of what was drawn for it; where all is on one device, without waiting for it.

    Args:
        split: Images and labels, on the CPU or already on `device`.
        spec: The dataset they belong to.
        drawn: int64 (B, 1) or (B, 4), some rows of what `draw` gave, where the split is.
        device: Where the batch is wanted.

    Returns:
        Normalised images, float32 (B, C, H, W), and labels, int64 (B,), on `device`.
    """
    images = split.images[drawn[:, 0]].to(device)  # (B, C, H, W)
    labels = split.labels[drawn[:, 0].to(split.labels.device)].to(device)  # (B,)
    if drawn.shape[1] > 1:
        images = augment(images, drawn[:, 1:].to(device, non_blocking=True))
    return normalise(images, spec), labels


def normalise(images: Tensor, spec: DatasetSpec) -> Tensor:
    """Scale pixels to [0, 1], then to mean 0 and deviation 1 over the training images.

    Args:
        images: uint8 (N, C, H, W).
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


def augment(images: Tensor, drawn: Tensor) -> Tensor:
    """Shift each image within its reflected border, and mirror some of them.

    As a random crop out of a reflect-padded batch, without the padding: one gather takes every pixel
    from where crop, reflection and mirror say it comes from.

    Args:
        images: uint8 (N, C, H, W).
        drawn: int64 (N, 3): rows and columns by which each is shifted, and 1 where it is mirrored.

    Returns:
        uint8 (N, C, H, W).
    """
    count, channels, height, width = images.shape
    rows = _reflect(torch.arange(height, device=images.device) + drawn[:, 0:1], height)  # (N, H)
    columns = _reflect(torch.arange(width, device=images.device) + drawn[:, 1:2], width)  # (N, W)
    columns = torch.where(drawn[:, 2:3] > 0, columns.flip(1), columns)
    source = rows[:, :, None] * width + columns[:, None, :]  # (N, H, W), index into H × W
    source = source.view(count, 1, height * width)
    pixels = images.reshape(count, channels, height * width)
    return pixels.gather(2, source.expand(-1, channels, -1)).view(images.shape)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside [0, size) back as in a mirror whose first and last pixel stand once."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()

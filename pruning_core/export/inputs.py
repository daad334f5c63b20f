"""The images that an exported file is compared on: those of the checkpoint's own dataset, or random ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pruning_core.config.pictures import PictureOptions, check_for_folders
from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import batches
from pruning_core.errors import DatasetError, OptionError, PruningBenchError
from pruning_core.progress import ProgressDisplay
from pruning_core.tasks.calibration import draw_calibration_inputs
from pruning_core.tasks.classification import Classification

RANDOM_IMAGES = 64
"""Where there is no dataset."""

_BATCH = 64
_FIRST = (1, 2)
"""Sizes of the first batches: a file that takes any number of images takes one, too."""

Batches = Iterator[tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Where:
    """Where datasets lie."""

    cache: Path
    data_root: Path | None = None
    download: bool = False
    name: str | None = None  # as the user names it; None: as the checkpoint does
    test_share: float | None = None  # of one folder of classes, as when the checkpoint was trained
    skip_broken: int = 0


def load_own_dataset(spec: DatasetSpec, where: Where, display: ProgressDisplay) -> Dataset:
    """Load the dataset that a checkpoint was trained on, and check that it is the one.

    Raises:
        DatasetError: If it is not here, or holds other images.
    """
    name = spec.name if where.name is None else where.name
    if name == "folder":
        raise DatasetError(
            "the images of this checkpoint lie in a folder, whose path no checkpoint holds: name it with "
            "--dataset folder:PATH, or compare on random images with --inputs random"
        )
    check_for_folders(_picture_options(None, where), (name,))
    try:
        dataset = load_dataset(
            name,
            data_root=where.data_root,
            cache=where.cache,
            download=where.download,
            display=display,
            pictures=_read_as(spec, where),
        )
    except PruningBenchError as error:
        raise DatasetError(
            f"{error}; an export is compared on test images: or compare on random ones, --inputs random"
        ) from error
    if dataset.spec.fingerprint != spec.fingerprint:
        raise DatasetError(
            f"dataset {name} holds other images than those the checkpoint was trained on (fingerprint "
            f"{dataset.spec.fingerprint[:12]}, the checkpoint's is {spec.fingerprint[:12]}): name the right "
            "one with --dataset, or compare on random images with --inputs random"
        )
    return replace(dataset, spec=spec)  # normalised as the network was trained


def _read_as(spec: DatasetSpec, where: Where) -> PictureOptions:
    """Return how pictures of a folder are read: to the size that the network was trained on."""
    return _picture_options((spec.height, spec.width) if spec.augment.resized_crop else None, where)


def _picture_options(size: tuple[int, int] | None, where: Where) -> PictureOptions:
    return PictureOptions(image_size=size, test_share=where.test_share, skip_broken=where.skip_broken)


def batches_to_compare(dataset: Dataset, n: int, fixed: int | None) -> Batches:
    """Yield the first `n` test images in batches: of 1 and 2 first, then more; or of one size alone.

    Args:
        dataset: Normalised as its spec says.
        n: Images; with a fixed size rounded up to whole batches, for which the first images come again.
        fixed: Size of each batch; None: any.
    """
    split, count = dataset.test, len(dataset.test.labels)
    if fixed is not None:
        chosen = torch.arange(-(-n // fixed) * fixed) % count
        for some in torch.split(chosen, fixed):
            part = Split(split.images[some], split.labels[some])
            yield from batches(part, dataset.spec, fixed)
        return
    done = 0
    for images, labels in batches(split, dataset.spec, _BATCH):
        for size in [*(_FIRST if not done else ()), len(images)]:
            size = min(size, n - done, len(images))
            if size > 0:
                yield images[:size], labels[:size]
            images, labels, done = images[size:], labels[size:], done + max(size, 0)
        if done >= n:
            return


def random_batches(spec: DatasetSpec, fixed: int | None) -> Batches:
    """Yield random images, normalised, the same each time, in batches as `batches_to_compare`; no labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(RANDOM_IMAGES, spec.channels, spec.height, spec.width, generator=generator)
    sizes = [*_FIRST, RANDOM_IMAGES - sum(_FIRST)]
    if fixed is not None:
        images = images[torch.arange(-(-RANDOM_IMAGES // fixed) * fixed) % RANDOM_IMAGES]
        sizes = [fixed] * (len(images) // fixed)
    for some in torch.split(images, sizes):
        yield some, None


def calibration_images(dataset: Dataset | None) -> Tensor:
    """Return normalised training images, those that int8 is measured with: (N, C, H, W).

    Raises:
        OptionError: If there is no dataset.
    """
    if dataset is None:
        raise OptionError(
            "int8 takes its ranges from training images of the checkpoint's dataset, which --inputs random "
            "leaves out: name the dataset with --dataset, or export another precision"
        )
    images: Tensor = draw_calibration_inputs(Classification(dataset))
    return images

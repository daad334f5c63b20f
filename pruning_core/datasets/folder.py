"""A folder of images → a dataset: listed, hashed, divided, decoded."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.pictures import PictureOptions
from pruning_core.console.escaping import printable
from pruning_core.datasets.base import Dataset, make_dataset
from pruning_core.datasets.content import (
    Pictures,
    check_classes,
    divide,
    explain_copies,
    explain_pictures,
    hash_pictures,
)
from pruning_core.datasets.folder_images import FolderImages
from pruning_core.datasets.image_listing import SPLITS, WHOLE, FolderContent, list_images
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import Fit, stored_side
from pruning_core.progress import ProgressDisplay


def load_folder(
    folder: Path,
    cache: Path | None = None,
    display: ProgressDisplay | None = None,
    pictures: PictureOptions | None = None,
) -> Dataset:
    """Load a folder of images as RGB; labels follow the sorted class names.

    Args:
        folder: Holds `train/<class>/` and `test/<class>/` (or val, …), or classes to be divided.
        cache: Where decoded pixels are kept; None keeps none.
        display: Shows progress and notes; on standard error by default.
        pictures: Their size, the share for testing, how many may be broken; by default all are of one size.

    Returns:
        The dataset; its spec is named "folder", so that where it lies does not matter.

    Raises:
        DatasetError: If a folder or a class is missing or empty, an image cannot be decoded or is of
            another size, an image changes meanwhile, or the cache cannot be written.
    """
    display, pictures = display or ProgressDisplay(), pictures or PictureOptions()
    try:
        content = list_images(folder, undivided=pictures.test_share is not None)
        splits = _hash_splits(folder, content, pictures.test_share, display)
        images = FolderImages(folder, splits, _fits(pictures.image_size), pictures.skip_broken, display)
        train, test, description = images.load(cache)
    except OSError as error:
        raise DatasetError(f"dataset folder:{folder}: {error}") from error
    whole = {s: splits[s].without({index for index, _ in description.broken.get(s, ())}) for s in SPLITS}
    check_classes(folder, content.class_names, whole, "all of them are broken")
    for note in _notes_on_pictures(folder, splits, description.broken, description.animated):
        display.say(note)
    height, width = test.images.shape[2:]
    resized = pictures.image_size is not None
    return make_dataset(
        "folder",
        [printable(name) for name in content.class_names],
        train,
        test,
        mean=description.mean,
        std=description.std,
        augment=AugmentSpec(
            flip=True,
            crop_padding=0 if resized else min(4, height // 8, width // 8),
            resized_crop=resized,
        ),
        fingerprint=description.fingerprint,
    )


def _hash_splits(
    folder: Path, content: FolderContent, test_share: float | None, display: ProgressDisplay
) -> dict[str, Pictures]:
    splits = {split: hash_pictures(folder, listing) for split, listing in content.splits.items()}
    for note in content.notes:
        display.say(note)
    if test_share is not None:
        splits = divide(splits[WHOLE], test_share)
        counts = {split: len(pictures.files) for split, pictures in splits.items()}
        advice = (
            f"--test-share {test_share:g} makes {counts['train']} + {counts['test']} by their content: "
            "add pictures, or use another share"
        )
        check_classes(folder, content.class_names, splits, advice)
        display.say(
            f"dataset folder:{folder}: divided by content into {counts['train']} pictures for training and "
            f"{counts['test']} for testing"
        )
    for note in explain_copies(folder, splits):
        display.say(note)
    return splits


def _fits(image_size: tuple[int, int] | None) -> dict[str, Fit]:
    """Return what is stored of the pictures of each split: test ones as they are shown to a network."""
    if image_size is None:
        return {"train": Fit("whole"), "test": Fit("whole")}
    return {"train": Fit("squeeze", *map(stored_side, image_size)), "test": Fit("crop", *image_size)}


def _notes_on_pictures(
    folder: Path,
    splits: Mapping[str, Pictures],
    broken: Mapping[str, tuple[tuple[int, str], ...]],
    animated: Mapping[str, tuple[int, ...]],
) -> Iterator[str]:
    left_out = [(splits[split].files[i], reason) for split in broken for i, reason in broken[split]]
    if left_out:
        count = len(left_out)
        yield explain_pictures(
            folder, left_out, f"{count} broken pictures are left out", "as --skip-broken asks"
        )
    several = [splits[split].files[index] for split in animated for index in animated[split]]
    if several:
        first = printable(several[0].relative_to(folder).as_posix())
        yield (
            f"dataset folder:{folder}: of {len(several)} picture(s) with several frames the first counts, as "
            f"of {first}"
        )

"""A folder of images → tensors: `train/<class>/*` and `test/<class>/*`, decoded once to RGB.

Not for: resizing (images of unequal sizes are refused), or how decoded pixels are kept (`pixel_cache.py`).
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pruning_core.errors import DatasetError
from pruning_core.pixel_cache import Description, load_or_make
from pruning_core.progress import ProgressDisplay
from pruning_core.spec import AugmentSpec
from pruning_core.splits import Dataset, Split, compute_fingerprint, compute_statistics, make_dataset

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Which files are images: those of torchvision's ImageFolder. Others are left aside, and hidden ones."""

_LAYOUT = "expected train/<class>/<images> and test/<class>/<images>"
_CHUNK_FILES = 256  # files that one thread decodes at a time
_PROGRESS_FROM_FILES = 5000  # fewer are decoded before a bar could be read


@dataclass(frozen=True)
class _Listing:
    """The images of a split, class by class, and the label of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]


def load_folder(folder: Path, cache: Path | None = None) -> Dataset:
    """Load a folder of images, all of one size, as RGB.

    Args:
        folder: Holds `train/<class>/` and `test/<class>/`; labels follow the sorted class names.
        cache: Where decoded pixels are kept; None keeps none.

    Returns:
        The dataset; its spec is named "folder", so that where it lies does not matter.

    Raises:
        DatasetError: If a folder or a class is missing or empty, an image cannot be decoded or is of
            another size, or the cache cannot be written.
    """
    try:
        class_names, listings = _list_images(folder)
        if cache is None:
            pixels = {split: np.concatenate(list(_decode(folder, split, listings))) for split in listings}
            description = _describe(pixels, listings)
        else:
            pixels, description = load_or_make(
                cache / _hash_listing(folder, listings),
                {split: len(listing.files) for split, listing in listings.items()},
                lambda split: _decode(folder, split, listings),
                lambda decoded: _describe(decoded, listings),
            )
    except OSError as error:
        raise DatasetError(f"dataset folder:{folder}: {error}") from error
    train, test = (_make_split(pixels[split], listings[split]) for split in ("train", "test"))
    height, width = train.images.shape[2:]
    return make_dataset(
        "folder",
        class_names,
        train,
        test,
        mean=description.mean,
        std=description.std,
        augment=AugmentSpec(flip=True, crop_padding=min(4, height // 8, width // 8)),
        fingerprint=description.fingerprint,
    )


def _list_images(folder: Path) -> tuple[tuple[str, ...], dict[str, _Listing]]:
    if not folder.is_dir():
        raise DatasetError(f"dataset folder:{folder}: there is no folder {folder.absolute()}; {_LAYOUT}")
    classes: dict[str, tuple[str, ...]] = {}
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            held = ", ".join(f"{name}/" for name in _visible_folders(folder)[:5]) or "no folder"
            raise DatasetError(f"dataset folder:{folder} has no {split}/: {_LAYOUT}; it holds {held}")
        classes[split] = tuple(_visible_folders(folder / split))
    if classes["train"] != classes["test"]:
        raise DatasetError(
            f"dataset folder:{folder}: train/ and test/ hold unequal classes; "
            f"only in train/: {_differing(classes['train'], classes['test'])}; "
            f"only in test/: {_differing(classes['test'], classes['train'])}"
        )
    count = len(classes["train"])
    if count < 2:
        raise DatasetError(
            f"dataset folder:{folder}: train/ holds {count} class(es), at least 2 are needed; {_LAYOUT}"
        )
    return classes["train"], {split: _list_split(folder / split, classes[split]) for split in classes}


def _list_split(folder: Path, class_names: tuple[str, ...]) -> _Listing:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        found = _images_below(folder / name)
        if not found:
            raise DatasetError(f"class {folder / name} holds no image ({', '.join(EXTENSIONS)})")
        files += found
        labels += [label] * len(found)
    return _Listing(tuple(files), tuple(labels))


def _images_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in files
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")  # macOS leaves ._NAME.jpg
        ]
    return sorted(found)


def _visible_folders(folder: Path) -> list[str]:
    return sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _differing(names: tuple[str, ...], others: tuple[str, ...]) -> str:
    only = sorted(set(names) - set(others))
    return ", ".join(only[:5]) + (f" and {len(only) - 5} more" if len(only) > 5 else "") or "none"


def _decode(folder: Path, split: str, listings: dict[str, _Listing]) -> Iterator[NDArray[np.uint8]]:
    """Decode a split in threads (Pillow releases the interpreter's lock), in the order of the listing.

    Returns:
        Chunks of uint8 (n, 3, H, W).
    """
    files = listings[split].files
    first = listings["train"].files[0]
    size = _decode_image(first).shape[:2]  # that all others must have

    def decode_chunk(chunk: tuple[Path, ...]) -> NDArray[np.uint8]:
        decoded = []
        for file in chunk:
            decoded.append(_decode_image(file))  # (H, W, 3)
            if decoded[-1].shape[:2] != size:
                raise DatasetError(
                    f"{file} is {_size(decoded[-1].shape)} pixels, {first} is {_size(size)}: "
                    "all must be of one size; resize them first"
                )
        return np.ascontiguousarray(np.stack(decoded).transpose(0, 3, 1, 2))  # (n, 3, H, W)

    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    show = ProgressDisplay().work(f"decode {len(files)} images of {folder.name}/{split}")
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        with show if len(files) >= _PROGRESS_FROM_FILES else nullcontext() as advance:
            done = 0
            for pixels in pool.map(decode_chunk, chunks):
                yield pixels
                done += len(pixels)
                if advance is not None:
                    advance(done, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, or Ctrl-C, the rest need not be decoded


def _decode_image(file: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            mode = image.mode
            if mode == "P" and "transparency" in image.info:
                return np.asarray(image.convert("RGBA").convert("RGB"))  # Pillow warns of the direct way
            if not mode.startswith(("I", "F")):
                return np.asarray(image.convert("RGB"))  # (H, W, 3)
    except Exception as error:  # Pillow's readers raise what they like: OSError, SyntaxError, struct.error, …
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DatasetError(f"cannot decode {file}: {reason}") from error
    raise DatasetError(
        f"cannot decode {file}: its pixels are {mode!r}, wider than 8 bits; convert it to 8-bit RGB"
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


def _make_split(pixels: NDArray[np.uint8], listing: _Listing) -> Split:
    return Split(torch.from_numpy(pixels), torch.tensor(listing.labels))


def _describe(pixels: dict[str, NDArray[np.uint8]], listings: dict[str, _Listing]) -> Description:
    train, test = (_make_split(pixels[split], listings[split]) for split in ("train", "test"))
    mean, std = compute_statistics(train.images)
    return Description(fingerprint=compute_fingerprint(train, test), mean=mean, std=std)


def _hash_listing(folder: Path, listings: dict[str, _Listing]) -> str:
    """Hash relative path, size and modification time of every image: a moved folder keeps its cache."""
    digest = hashlib.sha256(b"folder 1")  # 1: raised when the same files would give other pixels
    for listing in listings.values():
        for file in listing.files:
            status = file.stat()
            line = f"\n{file.relative_to(folder).as_posix()}\0{status.st_size}\0{status.st_mtime_ns}"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]

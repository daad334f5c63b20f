"""A folder of images → tensors: `train/<class>/*` and `test/<class>/*`, decoded once to upright RGB."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from pruning_core.config.spec import AugmentSpec
from pruning_core.datasets.base import (
    Dataset,
    Split,
    compute_fingerprint,
    compute_statistics,
    make_dataset,
)
from pruning_core.datasets.image_listing import FolderContent, Listing, list_images
from pruning_core.datasets.pixel_cache import Description, get_or_make
from pruning_core.errors import DatasetError
from pruning_core.progress import ProgressDisplay

_CHUNK_FILES = 256  # files that one thread decodes at a time
_MIN_FILES_FOR_PROGRESS = 5000  # fewer are decoded before a bar could be read
_DECODER_VERSION = 2  # raised when the same files would give other pixels; 2: turned by EXIF

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation as EXIF numbers it → what puts the picture upright (as `PIL.ImageOps.exif_transpose`)."""


def load_folder(folder: Path, cache: Path | None = None, display: ProgressDisplay | None = None) -> Dataset:
    """Load a folder of images, all of one size, as RGB.

    Args:
        folder: Holds `train/<class>/` and `test/<class>/`; labels follow the sorted class names.
        cache: Where decoded pixels are kept; None keeps none.
        display: Shows progress, and notes about links or a damaged cache; on standard error by default.

    Returns:
        The dataset; its spec is named "folder", so that where it lies does not matter.

    Raises:
        DatasetError: If a folder or a class is missing or empty, an image cannot be decoded or is of
            another size, an image changes meanwhile, or the cache cannot be written.
    """
    display = display or ProgressDisplay()
    try:
        content = list_images(folder)
        listings = content.splits
        for note in content.notes:
            display.say(note)
        if cache is None:
            pixels = {
                split: np.concatenate(list(_decode(folder, split, listings, display))) for split in listings
            }
            description = _describe(pixels, listings)
        else:
            key = _hash_content(folder, content)

            def describe(decoded: dict[str, NDArray[np.uint8]]) -> Description:
                if _hash_content(folder, content) != key:
                    raise DatasetError(
                        f"dataset folder:{folder}: its images changed while they were decoded; "
                        "run again when nobody writes there"
                    )
                return _describe(decoded, listings)

            pixels, description = get_or_make(
                cache / key,
                {split: len(listing.files) for split, listing in listings.items()},
                lambda split: _decode(folder, split, listings, display),
                describe,
                display.say,
            )
    except OSError as error:
        raise DatasetError(f"dataset folder:{folder}: {error}") from error
    train, test = (_make_split(pixels[split], listings[split]) for split in ("train", "test"))
    height, width = train.images.shape[2:]
    return make_dataset(
        "folder",
        content.class_names,
        train,
        test,
        mean=description.mean,
        std=description.std,
        augment=AugmentSpec(flip=True, crop_padding=min(4, height // 8, width // 8)),
        fingerprint=description.fingerprint,
    )


def _decode(
    folder: Path, split: str, listings: dict[str, Listing], display: ProgressDisplay
) -> Iterator[NDArray[np.uint8]]:
    """Decode a split in threads (Pillow releases the interpreter's lock), in the order of the listing.

    Returns:
        Chunks of uint8 (n, 3, H, W).
    """
    files = listings[split].files
    first = listings["train"].files[0]
    size = _decode_image(first).shape[:2]  # all others must have it

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
    show = display.work(f"decode {len(files)} images of {folder.name}/{split}")
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        with show if len(files) >= _MIN_FILES_FOR_PROGRESS else nullcontext() as advance:
            done = 0
            for pixels in pool.map(decode_chunk, chunks):
                yield pixels
                done += len(pixels)
                if advance is not None:
                    advance(done, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, or Ctrl-C, the others need not be decoded


def _decode_image(file: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as opened:
            mode = opened.mode
            if not mode.startswith(("I", "F")):
                image = _turn_upright(opened)
                if mode == "P" and "transparency" in opened.info:
                    image = image.convert("RGBA")  # Pillow warns of the direct way
                return np.asarray(image.convert("RGB"))  # (H, W, 3)
    except Exception as error:  # Pillow's readers raise what they like: OSError, SyntaxError, struct.error, …
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DatasetError(f"cannot decode {file}: {reason}") from error
    raise DatasetError(
        f"cannot decode {file}: its pixels are {mode!r}, wider than 8 bits; convert it to 8-bit RGB"
    )


def _turn_upright(image: Image.Image) -> Image.Image:
    image.load()  # a TIFF is turned by this alone, and then says so
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF says nothing; the pixels are whole
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


def _make_split(pixels: NDArray[np.uint8], listing: Listing) -> Split:
    return Split(torch.from_numpy(pixels), torch.tensor(listing.labels))


def _describe(pixels: dict[str, NDArray[np.uint8]], listings: dict[str, Listing]) -> Description:
    train, test = (_make_split(pixels[split], listings[split]) for split in ("train", "test"))
    mean, std = compute_statistics(train.images)
    return Description(fingerprint=compute_fingerprint(train, test), mean=mean, std=std)


def _hash_content(folder: Path, content: FolderContent) -> str:
    """Hash relative path and bytes of every image, and what decodes them: a moved folder keeps its cache.

    Size and times would be quicker, and prove nothing: an archive or a copy can give other bytes the same.
    """
    versions = [pillow_version, *(features.version(codec) or "" for codec in ("jpg", "webp", "libtiff"))]
    digest = hashlib.sha256(f"folder {_DECODER_VERSION} {' '.join(versions)}".encode())
    files = [file for listing in content.splits.values() for file in listing.files]
    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for chunk, hashes in zip(chunks, pool.map(_hash_files, chunks), strict=True):
            for file, hashed in zip(chunk, hashes, strict=True):
                name = file.relative_to(folder).as_posix()
                digest.update(f"\n{name}\0".encode("utf-8", "surrogateescape") + hashed)
    return digest.hexdigest()[:32]


def _hash_files(files: list[Path]) -> list[bytes]:
    return [hashlib.sha256(file.read_bytes()).digest() for file in files]

"""Decoded pixels on disk, so that a folder of images is decoded once.

    PLACE/{index.json, train.npy, test.npy}

Written beside its place, synchronised, then renamed; what is damaged is made anew. Pixels altered inside a
file of the right size are not noticed: to hash them would be to read all of them each time.
Not for: checkpoints (`store.py`), or what is decoded from where (`folder_dataset.py`).
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pruning_core.errors import DatasetError
from pruning_core.spec import Frozen

LARGE_BYTES = 64 * 2**20
"""A file larger than this is memory-mapped instead of read."""

Pixels = NDArray[np.uint8]


class Description(Frozen):
    """What is known of the pixels once they have all been read."""

    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class _Index(Frozen):
    """The description, and what shows that the files beside it are whole."""

    shapes: dict[str, tuple[int, ...]]
    description: Description


def load_or_make(
    place: Path,
    counts: Mapping[str, int],
    decode: Callable[[str], Iterator[Pixels]],
    describe: Callable[[dict[str, Pixels]], Description],
) -> tuple[dict[str, Pixels], Description]:
    """Return the pixels kept at a place; where there are none, or damaged ones, make them first.

    Args:
        place: A folder of its own for these very images; named by a hash of them.
        counts: Split → number of its images.
        decode: Split → its images in chunks, uint8 (n, C, H, W). Need not fit into memory.
        describe: Split → images, uint8 (N, C, H, W), to what is kept about them.

    Returns:
        Split → uint8 (N, C, H, W), memory-mapped when large, and their description.

    Raises:
        DatasetError: If what was just written cannot be read back.
        OSError: If the place cannot be written.
    """
    found = _read(place, counts)
    if found is None:
        _write(place, counts, decode, describe)
        found = _read(place, counts)
    if found is None:
        raise DatasetError(
            f"the cache {place} cannot be read back right after it was written; is the disk sound?"
        )
    return found


def _read(place: Path, counts: Mapping[str, int]) -> tuple[dict[str, Pixels], Description] | None:
    """Return what is kept; None if there is nothing, or it is damaged."""
    try:
        index = _Index.model_validate_json((place / "index.json").read_bytes())
        pixels = {split: _read_pixels(place / f"{split}.npy") for split in counts}
    except Exception:  # whatever is wrong with it, it is made anew
        return None
    whole = {split: array.shape for split, array in pixels.items()} == index.shapes
    return (pixels, index.description) if whole else None


def _read_pixels(file: Path) -> Pixels:
    # Copy-on-write: the file stays as it is, and torch gets the writable array that it asks for.
    mapped: Literal["c"] | None = "c" if file.stat().st_size > LARGE_BYTES else None
    pixels = np.load(file, mmap_mode=mapped, allow_pickle=False)
    if pixels.dtype != np.uint8:
        raise ValueError(f"{file} holds {pixels.dtype}")
    return pixels  # type: ignore[no-any-return]  # np.load is typed as Any


def _write(
    place: Path,
    counts: Mapping[str, int],
    decode: Callable[[str], Iterator[Pixels]],
    describe: Callable[[dict[str, Pixels]], Description],
) -> None:
    fresh = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    fresh.mkdir(parents=True)
    try:
        pixels = {}
        for split, count in counts.items():
            file = fresh / f"{split}.npy"
            _write_pixels(file, count, decode(split))
            pixels[split] = _read_pixels(file)
        shapes = {split: array.shape for split, array in pixels.items()}
        index = _Index(shapes=shapes, description=describe(pixels))
        (fresh / "index.json").write_text(index.model_dump_json(), encoding="utf-8")
        for file in fresh.iterdir():
            _sync(file)
        _sync(fresh)
        _put_in_place(fresh, place, counts)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already, if it was renamed


def _write_pixels(file: Path, count: int, chunks: Iterator[Pixels]) -> None:
    """Write one .npy chunk by chunk: the images need not fit into memory."""
    with file.open("wb") as stream:
        for position, chunk in enumerate(chunks):
            if position == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *chunk.shape[1:])}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(chunk.data)


def _put_in_place(fresh: Path, place: Path, counts: Mapping[str, int]) -> None:
    try:
        fresh.rename(place)
    except OSError:
        if _read(place, counts) is not None:
            return  # another process was quicker
        damaged = fresh.with_name(f"{fresh.name}.damaged")
        place.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
        fresh.rename(place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before we go on."""
    if os.name == "nt":
        return  # neither a folder nor a file opened to be read can be synchronised there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Decoded pixels on disk, so that a folder of images is decoded once.

    HASH/{index.json, train.npy, test.npy}

Written in a folder beside it, synchronised, then renamed; what is damaged is made again. Every file is
verified by its hash when it is loaded: one altered pixel would be another accuracy under the same key.

    .HASH.UUID        being written, or left by a process that was killed
    .HASH.UUID.lock   held as long as it is being written
"""

import hashlib
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import Field

from pruning_core.config.validation import StrictModel
from pruning_core.errors import DatasetError
from pruning_core.files.atomic import sync_to_disk

LARGE_BYTES = 64 * 2**20
"""A file larger than this is memory-mapped instead of read."""

_LEFTOVER = re.compile(r"(\.[0-9a-f]{32}\.[0-9a-f]{32})(\.damaged|\.lock)?")

Pixels = NDArray[np.uint8]


Broken = dict[str, tuple[tuple[int, str], ...]]
"""Split → index, in the order of the listing, and reason of each picture that cannot be decoded."""


class Description(StrictModel):
    """What is known once all pictures have been read."""

    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    broken: Broken = Field({}, description="Pictures that are left out.")
    animated: dict[str, tuple[int, ...]] = Field({}, description="Indices of those with several frames.")
    sizes: dict[str, tuple[tuple[int, int], ...]] = Field(
        {},
        description="Height and width of the pictures of a split, where they were squeezed into one shape.",
    )


class _Index(StrictModel):
    """The description, and what shows that the files beside it are whole."""

    shapes: dict[str, tuple[int, ...]]
    sha256: dict[str, str]
    description: Description
    own_sha256: str = ""

    def signed(self) -> "_Index":
        """Return it with a hash of everything else."""
        text = self.model_copy(update={"own_sha256": ""}).model_dump_json()
        return self.model_copy(update={"own_sha256": hashlib.sha256(text.encode()).hexdigest()})


class _DamagedError(Exception):
    """What a folder holds is not what was written there."""


def get_or_make(
    folder: Path,
    counts: Mapping[str, int],
    decode: Callable[[str], Iterator[Pixels]],
    describe: Callable[[dict[str, Pixels]], Description],
    notify: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Pixels], Description]:
    """Return the pixels kept in a folder; where there are none, or damaged ones, make them first.

    Args:
        folder: For these very images alone; named by a hash of them.
        counts: Split → number of its images, those included that `decode` leaves out as broken.
        decode: Split → its images in chunks, uint8 (n, C, H, W). Need not fit into memory.
        describe: Takes split → images, uint8 (N, C, H, W); returns what is kept about them.
        notify: Takes one line when what was kept is damaged.

    Returns:
        Split → uint8 (N, C, H, W), memory-mapped when large, and their description.

    Raises:
        DatasetError: If what was just written cannot be read back.
        OSError: If the folder cannot be written.
    """
    if folder.exists():
        try:
            return _read(folder, counts)
        except _DamagedError as error:
            notify(f"the cache of decoded images {folder} is damaged: {error}; decoding them again")
    _write(folder, counts, decode, describe)
    try:
        return _read(folder, counts)
    except _DamagedError as error:
        raise DatasetError(
            f"the cache {folder} cannot be read back right after it was written ({error}); is the disk sound?"
        ) from None


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes left in a folder of caches; nothing that is being written now.

    Args:
        folder: Holds the caches, each a folder named by its hash. Need not be there.

    Returns:
        Folders and lock files, the lock of each after it.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _LEFTOVER.fullmatch(path.name):
            found.setdefault(match[1], []).append(path)
    return [p for name, paths in found.items() if not _is_held(folder / f"{name}.lock") for p in paths]


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _read(folder: Path, counts: Mapping[str, int]) -> tuple[dict[str, Pixels], Description]:
    try:
        index = _Index.model_validate_json((folder / "index.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _DamagedError("index.json is missing or no index") from error
    if index.signed() != index:
        raise _DamagedError("index.json was altered")
    pixels = {}
    for split in counts:
        file = folder / f"{split}.npy"
        try:
            if _hash_file(file) != index.sha256.get(split):
                raise _DamagedError(f"{file.name} was altered or is truncated")
            pixels[split] = _read_pixels(file)
        except (OSError, ValueError, SyntaxError) as error:
            raise _DamagedError(f"{file.name} is missing or cannot be read") from error
    if {split: array.shape for split, array in pixels.items()} != index.shapes:
        raise _DamagedError("it holds other images")
    return pixels, index.description


def _read_pixels(file: Path) -> Pixels:
    # Copy-on-write: the file stays as it is, and torch gets the writable array that it asks for.
    mapped: Literal["c"] | None = "c" if file.stat().st_size > LARGE_BYTES else None
    pixels = np.load(file, mmap_mode=mapped, allow_pickle=False)
    if pixels.dtype != np.uint8:
        raise ValueError(f"{file} holds {pixels.dtype}")
    return pixels  # type: ignore[no-any-return]  # np.load is typed as Any


def _write(
    folder: Path,
    counts: Mapping[str, int],
    decode: Callable[[str], Iterator[Pixels]],
    describe: Callable[[dict[str, Pixels]], Description],
) -> None:
    with _fresh_folder(folder) as fresh:
        pixels = {}
        for split, count in counts.items():
            file = fresh / f"{split}.npy"
            _write_pixels(file, count, decode(split))
            pixels[split] = _read_pixels(file)
        index = _Index(
            shapes={split: array.shape for split, array in pixels.items()},
            sha256={split: _hash_file(fresh / f"{split}.npy") for split in pixels},
            description=describe(pixels),
        )
        (fresh / "index.json").write_text(index.signed().model_dump_json(), encoding="utf-8")
        for file in fresh.iterdir():
            sync_to_disk(file)
        sync_to_disk(fresh)
        _move_to(fresh, folder, counts)


@contextmanager
def _fresh_folder(folder: Path) -> Iterator[Path]:
    """Make a temporary folder beside another, under a lock that tells others that it is being written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        lock_file = folder.with_name(f"{fresh.name}.lock")
        lock = FileLock(lock_file)
        lock.acquire()
        if lock_file.exists():  # not deleted as a leftover before we held it
            break
        lock.release()
    try:
        fresh.mkdir()
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already, if it was renamed
        lock.release()
        with suppress(OSError):
            lock_file.unlink()


def _write_pixels(file: Path, count: int, chunks: Iterator[Pixels]) -> None:
    """Write one .npy chunk by chunk: the images need not fit into memory."""
    with file.open("wb") as stream:
        written, image = 0, ()
        for chunk in chunks:
            if not written:
                image = chunk.shape[1:]
                _write_header(stream, (count, *image))
            stream.write(chunk.data)
            written += len(chunk)
        if written != count:
            stream.seek(0)
            _write_header(stream, (written, *image))  # as long: numpy leaves room for more digits


def _write_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _move_to(fresh: Path, folder: Path, counts: Mapping[str, int]) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        with suppress(_DamagedError):
            _read(folder, counts)
            return  # another process was quicker
        damaged = fresh.with_name(f"{fresh.name}.damaged")
        folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
        fresh.rename(folder)
    sync_to_disk(folder.parent)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

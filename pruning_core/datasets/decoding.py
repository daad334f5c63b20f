"""A pass over the pictures of a folder, in threads: their pixels, and what is to be known of each."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pruning_core.datasets.content import Pictures, explain_pictures
from pruning_core.datasets.pixel_cache import Broken
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import (
    BrokenPictureError,
    ChangedPictureError,
    Fit,
    Picture,
    read_picture,
)
from pruning_core.progress import ProgressDisplay
from pruning_core.system.hardware import usable_cores

_CHUNK_BYTES = 16 * 2**20  # of pixels that one thread decodes at a time
_MAX_CHUNK_FILES = 256
_MIN_FILES_FOR_PROGRESS = 5000
_MIN_BYTES_FOR_PROGRESS = 200e6
"""Fewer files, and smaller ones, are decoded before a bar could be read."""


MAX_DARK_LEVEL = 4095
"""Of wide grey levels: pictures of 12 bits, as of cameras and scanners, have none above."""


class Decoding:
    """What was found of the pictures of a folder; complete when `chunks` of both splits has ended."""

    def __init__(
        self, folder: Path, splits: Mapping[str, Pictures], fits: Mapping[str, Fit], display: ProgressDisplay
    ) -> None:
        """Decode nothing yet.

        Args:
            folder: For errors.
            splits: The pictures.
            fits: Split → what becomes of a picture's size; `whole`: all must be of one size.
            display: Shows a long pass.
        """
        self._folder, self._splits, self._fits, self._display = folder, splits, fits, display
        self._one_size: tuple[Path, Picture] | None = None
        self.broken: dict[str, list[tuple[int, str]]] = {split: [] for split in splits}
        self.animated: dict[str, list[int]] = {split: [] for split in splits}
        self.sizes: dict[str, list[tuple[int, int]]] = {split: [] for split in splits}
        """Height and width, upright, of each picture that is not broken."""
        self._max_levels: dict[str, list[int]] = {split: [] for split in splits}

    def found_broken(self) -> Broken:
        """Return split → index and reason of each broken picture."""
        return {split: tuple(found) for split, found in self.broken.items()}

    def note_on_dark(self) -> str:
        """Say that pictures of 16 bits are nearly black; empty where one is not, or there are none."""
        found = [level for levels in self._max_levels.values() for level in levels]
        if not found or max(found) > MAX_DARK_LEVEL:
            return ""
        return (
            f"dataset folder:{self._folder}: no grey level of its {len(found)} pictures of 16 bits is "
            f"above {max(found):,}, where 65,535 is white: to a network they are nearly black; spread them "
            "to 16 bits"
        )

    def shape(self, split: str) -> tuple[int, int, int]:
        """Return (3, H, W) of what is stored of a picture.

        Raises:
            DatasetError: If all sizes must be one, and no training picture can be decoded.
        """
        fit = self._fits[split]
        if fit.mode == "whole":
            return (3, *self._first()[1].pixels.shape[:2])
        return (3, fit.height, fit.width)

    def chunks(self, split: str) -> Iterator[NDArray[np.uint8]]:
        """Decode a split in the order of its listing; broken pictures are left out, and noted.

        Returns:
            Chunks of uint8 (n, 3, H, W).

        Raises:
            DatasetError: If a picture has another size and all must have one, a file has changed, or every
                picture is broken.
        """
        self.broken[split], self.animated[split], self.sizes[split] = [], [], []
        self._max_levels[split] = []
        pictures, fit = self._splits[split], self._fits[split]
        for path, found, index in self._decoded(split):
            kept = []
            for position, picture in enumerate(found, start=index):
                if isinstance(picture, BrokenPictureError):
                    self.broken[split].append((position, str(picture)))
                    continue
                if fit.mode == "whole":
                    self._check_size(path[position - index], picture)
                self.sizes[split].append((picture.height, picture.width))
                if picture.animated:
                    self.animated[split].append(position)
                if picture.max_level is not None:
                    self._max_levels[split].append(picture.max_level)
                kept.append(picture.pixels)
            if kept:
                yield np.ascontiguousarray(np.stack(kept).transpose(0, 3, 1, 2))  # (n, 3, H, W)
        if len(self.broken[split]) == len(pictures.files):
            raise broken_error(self._folder, self._splits, self.found_broken())

    def _decoded(
        self, split: str
    ) -> Iterator[tuple[Sequence[Path], list[Picture | BrokenPictureError], int]]:
        """Walk over chunks: their files, what these hold, and the index of the first."""
        pictures, fit = self._splits[split], self._fits[split]
        files, hashes = pictures.files, pictures.hashes
        step = max(1, min(_MAX_CHUNK_FILES, _CHUNK_BYTES // int(np.prod(self.shape(split)))))
        starts = range(0, len(files), step)

        def decode(start: int) -> list[Picture | BrokenPictureError]:
            chosen = slice(start, start + step)
            return [
                _read(*pair, fit, self._folder) for pair in zip(files[chosen], hashes[chosen], strict=True)
            ]

        show = self._display.work(f"decode {len(files)} images of {self._folder.name}/{split}")
        long = len(files) >= _MIN_FILES_FOR_PROGRESS or _bytes_of(files) >= _MIN_BYTES_FOR_PROGRESS
        with show if long else nullcontext() as advance:
            for start, found in zip(starts, _in_threads(decode, starts), strict=True):
                yield files[start : start + step], found, start
                if advance is not None:
                    advance(start + len(found), len(files))

    def _first(self) -> tuple[Path, Picture]:
        """Return the first training picture that is not broken, whose size all others must have."""
        if self._one_size is None:
            train = self._splits["train"]
            broken: list[tuple[int, str]] = []
            for path, sha256 in zip(train.files, train.hashes, strict=True):
                found = _read(path, sha256, self._fits["train"], self._folder)
                if isinstance(found, Picture):
                    self._one_size = path, found
                    return self._one_size
                broken.append((len(broken), str(found)))
            self.broken["train"] = broken
            raise broken_error(self._folder, self._splits, self.found_broken())
        return self._one_size

    def _check_size(self, path: Path, picture: Picture) -> None:
        first, other = self._first()
        if picture.pixels.shape != other.pixels.shape:
            raise DatasetError(
                f"{path} is {picture.width}×{picture.height} pixels, {first} is {other.width}×{other.height}"
                ": resize and crop pictures of several sizes to one with --image-size 224, for example"
            )


def broken_error(folder: Path, splits: Mapping[str, Pictures], broken: Broken) -> DatasetError:
    """Make the error of broken pictures, and say how to leave them out.

    Args:
        folder: That holds them.
        splits: All pictures.
        broken: Split → index and reason of each that is broken.
    """
    total = sum(len(pictures.files) for pictures in splits.values())
    named = [(splits[split].files[i], reason) for split, found in broken.items() for i, reason in found]
    count = len(named)
    them = "it" if count == 1 else "them"
    advice = f"mend or delete {them}, or leave {them} out with --skip-broken {count}"
    return DatasetError(
        explain_pictures(folder, named, f"{count} of {total} pictures cannot be decoded", advice)
    )


def _read(path: Path, sha256: bytes, fit: Fit, folder: Path) -> Picture | BrokenPictureError:
    try:
        return read_picture(path, sha256, fit)
    except BrokenPictureError as error:
        return error
    except ChangedPictureError:
        raise DatasetError(
            f"dataset folder:{folder}: its images changed while they were decoded "
            f"({path.relative_to(folder)}); run again when nobody writes there"
        ) from None


def _in_threads(
    decode: Callable[[int], list[Picture | BrokenPictureError]], starts: Sequence[int]
) -> Iterator[list[Picture | BrokenPictureError]]:
    """Call a function in threads (Pillow releases the interpreter's lock), not far ahead of who takes it."""
    threads = usable_cores()
    pool = ThreadPoolExecutor(max_workers=threads)
    waiting: deque[Future[list[Picture | BrokenPictureError]]] = deque()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow says of odd files that it reads all the same
            for start in starts:
                waiting.append(pool.submit(decode, start))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, or Ctrl-C, the others need not be decoded


def _bytes_of(files: Sequence[Path]) -> int:
    return sum(os.path.getsize(file) for file in files)

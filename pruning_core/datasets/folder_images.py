"""Where the pixels of a folder's pictures are: in a cache on disk, in memory, or decoded on the way.

The images are the same in all three, and so are fingerprint and key.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pruning_core.datasets.base import Split, describe_splits
from pruning_core.datasets.content import Pictures, hash_content
from pruning_core.datasets.decoding import Decoding, broken_error
from pruning_core.datasets.image_listing import SPLITS
from pruning_core.datasets.on_the_way import Images, ImagesOnTheWay
from pruning_core.datasets.pixel_cache import Broken, Description, get_or_make
from pruning_core.datasets.stored import StoredImages
from pruning_core.pictures.decode import Fit
from pruning_core.progress import ProgressDisplay
from pruning_core.system.hardware import usable_cores
from pruning_core.system.memory import available_memory_bytes

MAX_FRACTION = 0.5
"""Decoded pixels take no more than this of what is free, on disk or in memory."""

Pixels = NDArray[np.uint8]


class FolderImages:
    """The images of a folder, and what is known of them."""

    def __init__(
        self,
        folder: Path,
        splits: Mapping[str, Pictures],
        fits: Mapping[str, Fit],
        skip_broken: int,
        display: ProgressDisplay,
    ) -> None:
        """Decode nothing yet.

        Args:
            folder: That holds them.
            splits: Training and test pictures.
            fits: Split → what becomes of a picture's size.
            skip_broken: So many broken pictures are left out, not more.
            display: Shows progress and notes.
        """
        self._folder, self._splits, self._fits = folder, splits, fits
        self._skip_broken, self._display = skip_broken, display
        self._decoding = Decoding(folder, splits, fits, display)
        self._counts = {split: len(pictures.files) for split, pictures in splits.items()}

    def load(self, cache: Path | None) -> tuple[Split, Split, Description]:
        """Return both splits, and what is known of them; decode what is not kept.

        Args:
            cache: Where decoded pixels are kept; None keeps none.

        Raises:
            DatasetError: If too many pictures are broken, sizes differ and must not, or files change.
            OSError: If the cache cannot be written.
        """
        key = hash_content(self._folder, self._splits, self._fits)
        if cache is not None and ((cache / key).exists() or self._fits_on_disk(cache)):
            pixels, description = get_or_make(
                cache / key, self._counts, self._decoding.chunks, self._describe_pixels, self._display.say
            )
            self._check_broken(description.broken)
            return *self._splits_of(_as_tensors(pixels), description), description
        if cache is None and self._bytes() <= MAX_FRACTION * available_memory_bytes():
            pixels = {split: self._decode_into_memory(split) for split in SPLITS}
            description = self._describe_pixels(pixels)
            return *self._splits_of(_as_tensors(pixels), description), description
        self._display.say(
            f"dataset folder:{self._folder}: {self._bytes() / 1e9:.2f} GB of pixels are more than half of "
            f"what is free: pictures are decoded on the way, {usable_cores()} at a time"
        )
        if cache is None:
            description = self._describe_on_the_way({})
        else:  # what is known of them is kept
            name = hashlib.sha256(f"described {key}".encode()).hexdigest()[:32]
            _, description = get_or_make(
                cache / name, {}, self._decoding.chunks, self._describe_on_the_way, self._display.say
            )
        self._check_broken(description.broken)
        return *self._splits_of(self._on_the_way(description.broken), description), description

    def _bytes(self) -> int:
        """Return what all pixels take."""
        return sum(count * int(np.prod(self._decoding.shape(split))) for split, count in self._counts.items())

    def _fits_on_disk(self, cache: Path) -> bool:
        cache.mkdir(parents=True, exist_ok=True)
        return self._bytes() <= MAX_FRACTION * shutil.disk_usage(cache).free

    def _decode_into_memory(self, split: str) -> Pixels:
        pixels = np.empty((self._counts[split], *self._decoding.shape(split)), dtype=np.uint8)
        end = 0
        for chunk in self._decoding.chunks(split):
            pixels[end : end + len(chunk)] = chunk
            end += len(chunk)
        return pixels[:end]

    def _on_the_way(self, broken: Broken) -> dict[str, Images]:
        images: dict[str, Images] = {}
        for split, pictures in self._splits.items():
            whole = pictures.without({index for index, _ in broken[split]})
            files = [(str(path), sha256) for path, sha256 in zip(whole.files, whole.hashes, strict=True)]
            _, height, width = self._decoding.shape(split)
            images[split] = ImagesOnTheWay(files, self._fits[split], height, width, usable_cores())
        return images

    def _describe_pixels(self, pixels: Mapping[str, Pixels]) -> Description:
        return self._describe(_as_tensors(pixels))

    def _describe_on_the_way(self, _: Mapping[str, Pixels]) -> Description:
        for split in SPLITS:
            for _chunk in self._decoding.chunks(split):
                pass  # what counts is which are broken, and the sizes
        self._check_broken(self._decoding.found_broken())
        return self._describe(self._on_the_way(self._decoding.found_broken()))

    def _describe(self, images: Mapping[str, Images]) -> Description:
        """Describe images once all pictures were decoded."""
        broken = self._decoding.found_broken()
        self._check_broken(broken)
        if note := self._decoding.note_on_dark():
            self._display.say(note)
        sizes = self._decoding.sizes
        found = Description(
            fingerprint="",
            mean=(),
            std=(),
            broken=broken,
            animated={split: tuple(indices) for split, indices in self._decoding.animated.items()},
            sizes={s: tuple(sizes[s]) for s, fit in self._fits.items() if fit.mode == "squeeze"},
        )
        fingerprint, mean, std = describe_splits(*self._splits_of(images, found))
        return found.model_copy(update={"fingerprint": fingerprint, "mean": mean, "std": std})

    def _splits_of(self, images: Mapping[str, Images], description: Description) -> tuple[Split, Split]:
        train, test = (self._split_of(split, images[split], description) for split in SPLITS)
        return train, test

    def _split_of(self, split: str, images: Images, description: Description) -> Split:
        labels = self._splits[split].without({index for index, _ in description.broken.get(split, ())}).labels
        sizes = description.sizes.get(split)
        return Split(images, torch.tensor(labels), None if sizes is None else torch.tensor(sizes))

    def _check_broken(self, broken: Broken) -> None:
        if sum(map(len, broken.values())) > self._skip_broken:
            raise broken_error(self._folder, self._splits, broken)


def _as_tensors(pixels: Mapping[str, Pixels]) -> dict[str, Images]:
    return {
        split: StoredImages(array) if isinstance(array, np.memmap) else torch.from_numpy(array)
        for split, array in pixels.items()
    }

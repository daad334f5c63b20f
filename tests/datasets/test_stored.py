"""A large file of images: read like a tensor, without counting as memory."""

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from pruning_core.datasets import folder_images, pixel_cache
from pruning_core.datasets.stored import StoredImages


def store(file: Path, count: int, side: int) -> tuple[StoredImages, np.ndarray]:
    """Write random images; return them as stored, and their pixels."""
    pixels = np.random.RandomState(0).randint(0, 256, (count, 3, side, side), dtype=np.uint8)
    np.save(file, pixels)
    return StoredImages(np.load(file, mmap_mode="c")), pixels


def test_images_are_those_of_the_file(tmp_path: Path) -> None:
    """By indices, by slices and as a whole, copies of the file's pixels come out."""
    images, pixels = store(tmp_path / "pixels.npy", 64, 9)
    expected = torch.from_numpy(pixels)
    assert (images.shape, len(images), images.nbytes) == (expected.shape, 64, expected.nbytes)
    for wanted in (torch.tensor([5, 0, 63, 5]), slice(60, 70), slice(0, 0), slice(1, 60, 7), slice(-3, None)):
        assert torch.equal(images[wanted], expected[wanted])
    assert torch.equal(images.to(torch.device("cpu")), expected)
    images[0:1].fill_(0)
    assert torch.equal(images[0:1], expected[0:1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is counted otherwise elsewhere")
def test_a_large_file_is_no_memory(tmp_path: Path) -> None:
    """After a pass over a file of 100 MB in any order, this process holds little more than before."""
    images, _ = store(tmp_path / "pixels.npy", 500, 256)
    before = psutil.Process().memory_info().rss
    for chosen in torch.split(torch.randperm(500, generator=torch.Generator().manual_seed(0)), 20):
        images[chosen]
    assert psutil.Process().memory_info().rss - before < 30e6


def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    """Images that are no longer there are an error, not noise."""
    images, _ = store(tmp_path / "pixels.npy", 4, 9)
    with (tmp_path / "pixels.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(OSError, match=r"pixels\.npy is shorter than it was"):
        images[2:3]


def test_large_caches_stay_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is read from a large file of a cache stays there, what is small is a tensor."""
    monkeypatch.setattr(pixel_cache, "LARGE_BYTES", 1000)
    for count, kind in ((1, torch.Tensor), (9, StoredImages)):
        file = tmp_path / f"{count}.npy"
        np.save(file, np.zeros((count, 3, 10, 10), dtype=np.uint8))
        found = folder_images._as_tensors({"train": pixel_cache._read_pixels(file)})
        assert isinstance(found["train"], kind)

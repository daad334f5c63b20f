"""Decoded pixels on disk: kept, memory-mapped, and made again when damaged."""

import os
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from pruning_core.datasets import pixel_cache
from pruning_core.datasets.pixel_cache import Description, Pixels, get_or_make
from pruning_core.errors import DatasetError

COUNTS = {"train": 5, "test": 3}


class Source:
    """Gives pixels in two chunks, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def decode(self, split: str) -> Iterator[Pixels]:
        """Give the images of a split."""
        self.asked += 1
        images = self.images(split)
        yield images[:2]
        yield images[2:]

    def images(self, split: str) -> Pixels:
        """Return the images of a split, in one."""
        return np.random.RandomState(COUNTS[split]).randint(0, 256, (COUNTS[split], 3, 4, 4), dtype=np.uint8)

    def load(self, folder: Path) -> dict[str, Pixels]:
        """Load or make; check that the pixels are right whatever happened before."""
        pixels, description = get_or_make(folder, COUNTS, self.decode, self.describe)
        assert description == self.describe({split: self.images(split) for split in COUNTS})
        for split in COUNTS:
            assert np.array_equal(pixels[split], self.images(split))
        return pixels

    def describe(self, pixels: dict[str, Pixels]) -> Description:
        """Describe by sums, so that a description of other pixels is another."""
        means = tuple(float(array.mean()) for array in pixels.values())
        return Description(fingerprint="f", mean=means, std=(1.0,))


@pytest.fixture
def source() -> Source:
    """A source that nobody has asked yet."""
    return Source()


def test_made_once_then_kept(tmp_path: Path, source: Source) -> None:
    """The second time, nothing is decoded; the folder holds three files and nothing lies beside it."""
    source.load(tmp_path / "folder")
    source.load(tmp_path / "folder")
    assert source.asked == 2  # train and test
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    names = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert names == ["index.json", "test.npy", "train.npy"]


def test_large_files_are_mapped(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size pixels stay on disk; torch takes them without a warning, and writing spares the file."""
    monkeypatch.setattr(pixel_cache, "LARGE_BYTES", 0)
    pixels = source.load(tmp_path / "folder")
    assert isinstance(pixels["train"], np.memmap)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(pixels["train"]).zero_()
    source.load(tmp_path / "folder")
    assert source.asked == 2


def test_small_files_are_read(tmp_path: Path, source: Source) -> None:
    """Below that size pixels are in memory, and no file stays open."""
    assert not isinstance(source.load(tmp_path / "folder")["train"], np.memmap)


@pytest.mark.parametrize("large_bytes", [0, 2**30])
@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "test.npy").unlink(),
        lambda folder: (folder / "index.json").unlink(),
        lambda folder: (folder / "index.json").write_text('{"shapes"'),
        lambda folder: (folder / "index.json").write_text("{}"),
        lambda folder: (folder / "train.npy").write_bytes((folder / "train.npy").read_bytes()[:-1]),
        lambda folder: (folder / "train.npy").write_bytes(b""),
        lambda folder: (folder / "train.npy").write_bytes(b"\x93NUMPY\x01\x00" + b"(" * 200),
        lambda folder: np.save(folder / "train.npy", np.zeros((5, 3, 4, 4))),
        lambda folder: np.save(folder / "train.npy", np.zeros((4, 3, 4, 4), dtype=np.uint8)),
        lambda folder: np.save(folder / "train.npy", np.array([None]), allow_pickle=True),
    ],
)
def test_damage_is_made_again(
    tmp_path: Path,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    large_bytes: int,
) -> None:
    """What is missing, truncated, pickled, of another shape or type is replaced; nothing is left over."""
    monkeypatch.setattr(pixel_cache, "LARGE_BYTES", large_bytes)
    source.load(tmp_path / "folder")
    damage(tmp_path / "folder")
    source.load(tmp_path / "folder")
    assert source.asked == 4
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    source.load(tmp_path / "folder")
    assert source.asked == 4


def test_interrupted_writing_leaves_nothing(tmp_path: Path, source: Source) -> None:
    """Ctrl-C while decoding leaves no folder that could be taken for a whole one."""

    def decode(split: str) -> Iterator[Pixels]:
        yield source.images(split)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_or_make(tmp_path / "folder", COUNTS, decode, source.describe)
    assert list(tmp_path.iterdir()) == []


def test_quicker_process_wins(tmp_path: Path, source: Source) -> None:
    """When another process has written the same pixels meanwhile, they are left there and used."""
    folder, other = tmp_path / "folder", Source()
    written = []

    def decode(split: str) -> Iterator[Pixels]:
        if split == "train":
            other.load(folder)
            written.append((folder / "train.npy").stat().st_ino)
        return source.decode(split)

    get_or_make(folder, COUNTS, decode, source.describe)
    assert written == [(folder / "train.npy").stat().st_ino]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_never_unpickles(tmp_path: Path, source: Source) -> None:
    """A pickle put where pixels should be is not run, but replaced."""
    source.load(tmp_path / "folder")
    np.save(tmp_path / "folder" / "train.npy", np.array([Trap(tmp_path / "sprung")]), allow_pickle=True)
    source.load(tmp_path / "folder")
    assert not (tmp_path / "sprung").exists()


def test_unreadable_disk_is_reported(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that cannot be read right after they were written are an error, not an endless loop."""
    monkeypatch.setattr(pixel_cache, "_hash_file", lambda file: uuid.uuid4().hex)
    with pytest.raises(DatasetError, match="cannot be read back"):
        get_or_make(tmp_path / "folder", COUNTS, source.decode, source.describe)


@pytest.mark.parametrize("large_bytes", [0, 2**30])
@pytest.mark.parametrize("name", ["train.npy", "test.npy", "index.json"])
def test_an_altered_byte_is_noticed(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch, name: str, large_bytes: int
) -> None:
    """A file of the right size with another byte is not used: one line names it, and it is made again."""
    monkeypatch.setattr(pixel_cache, "LARGE_BYTES", large_bytes)
    folder = tmp_path / "folder"
    source.load(folder)
    content = (folder / name).read_bytes()
    altered = content.replace(b'"fingerprint":"f"', b'"fingerprint":"g"') if name == "index.json" else None
    (folder / name).write_bytes(altered or content[:-1] + bytes([content[-1] ^ 1]))
    said: list[str] = []
    get_or_make(folder, COUNTS, source.decode, source.describe, said.append)
    assert len(said) == 1
    assert f"{folder} is damaged: {name} was altered" in said[0]
    assert source.asked == 4
    source.load(folder)
    assert source.asked == 4


KEY = "0123456789abcdef" * 2
WRITE_AND_BE_KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from pruning_core.datasets.pixel_cache import get_or_make

def decode(split):
    yield np.zeros((1, 3, 4, 4), dtype=np.uint8)
    print("writing", flush=True)
    sys.stdin.read()

get_or_make(Path(sys.argv[1]), {"train": 2}, decode, None)
"""


def test_a_killed_process_leaves_what_can_be_told(tmp_path: Path) -> None:
    """What a killed process was writing is listed as left over, and not before it was killed."""
    command = [sys.executable, "-c", WRITE_AND_BE_KILLED, str(tmp_path / KEY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        assert len(list(tmp_path.iterdir())) == 2
        assert pixel_cache.leftovers(tmp_path) == []
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    left = pixel_cache.leftovers(tmp_path)
    assert sorted(left) == sorted(tmp_path.iterdir())
    assert [path.is_dir() for path in left] == [True, False]


def test_only_our_own_names_are_left_over(tmp_path: Path, source: Source) -> None:
    """Finished caches, a user's own files and a folder that is not there give nothing; older names do."""
    source.load(tmp_path / KEY)
    for name in (".mine", f".{KEY}", f".{KEY}.backup", f"{KEY}.{KEY}", f".{KEY}.{KEY}.mine"):
        (tmp_path / name).mkdir()
    assert pixel_cache.leftovers(tmp_path) == []
    assert pixel_cache.leftovers(tmp_path / "nowhere") == []
    (tmp_path / f".{KEY}.{KEY}").mkdir()  # as before there were locks
    (tmp_path / f".{KEY}.{KEY}.damaged").mkdir()
    assert pixel_cache.leftovers(tmp_path) == [tmp_path / f".{KEY}.{KEY}", tmp_path / f".{KEY}.{KEY}.damaged"]


def test_a_lock_deleted_before_it_was_held_is_made_again(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the lock was taken for a leftover and deleted, the folder is written under another one."""
    deleted: list[Path] = []

    class Lock(FileLock):
        def acquire(self, *arguments, **options):
            proxy = super().acquire(*arguments, **options)
            if not deleted:
                deleted.append(Path(self.lock_file))
                deleted[0].unlink()
            return proxy

    monkeypatch.setattr(pixel_cache, "FileLock", Lock)
    source.load(tmp_path / "folder")
    assert len(deleted) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]

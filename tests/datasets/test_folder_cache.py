"""The decoded pixels of a folder: kept, found again, and not used where they are not its own."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning_core.datasets import content as content_module
from pruning_core.datasets import folder_images
from tests.helpers.image_folder import load, refusal_of, write_image


def test_cache_spares_decoding(folder: Path, tmp_path: Path, decoded: list[Path]) -> None:
    """A second load decodes nothing and gives the same dataset."""
    first = load(folder, tmp_path / "cache")
    assert decoded
    decoded.clear()
    second = load(folder, tmp_path / "cache")
    assert decoded == []
    assert second.spec == first.spec
    assert torch.equal(second.train.images, first.train.images)
    assert torch.equal(second.test.images, first.test.images)


def test_cache_follows_a_moved_folder(folder: Path, tmp_path: Path, decoded: list[Path]) -> None:
    """The cache is found by what the folder lists, not by where it lies."""
    load(folder, tmp_path / "cache")
    decoded.clear()
    load(folder.rename(tmp_path / "moved"), tmp_path / "cache")
    assert decoded == []


@pytest.mark.parametrize("change", ["pixels", "name"])
def test_changed_file_makes_a_new_cache(
    folder: Path, tmp_path: Path, decoded: list[Path], change: str
) -> None:
    """Another content, of the same time, or another name of one file, and all are decoded again."""
    load(folder, tmp_path / "cache")
    decoded.clear()
    file = folder / "train" / "cat" / "1.png"
    if change == "pixels":
        status = file.stat()
        Image.new("RGB", (10, 8)).save(file)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        file.rename(file.with_name("9.png"))
    load(folder, tmp_path / "cache")
    assert len(set(decoded)) == 8


def test_unwritable_cache_is_named(folder: Path, tmp_path: Path) -> None:
    """A cache that cannot be written is one line, not a traceback."""
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refusal_of(folder, tmp_path / "file" / "cache")


STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""Orientation of EXIF → how an upright picture is stored under it (EXIF 2.32, tag 274)."""


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("form", ["png", "tiff", "webp"])
def test_pictures_are_turned_by_exif(folder: Path, form: str, orientation: int) -> None:
    """A picture that lies on its side is read as people see it, in both splits."""
    expected = load(folder)
    for split in ("train", "test"):
        file = folder / split / "dog" / "0.png"
        stored = np.ascontiguousarray(STORED[orientation](np.asarray(Image.open(file))))
        exif = Image.Exif()
        exif[274] = orientation
        file.unlink()
        options = {"lossless": True} if form == "webp" else {}
        Image.fromarray(stored).save(file.with_suffix(f".{form}"), exif=exif, **options)
    dataset = load(folder)
    assert torch.equal(dataset.train.images, expected.train.images)
    assert dataset.spec == expected.spec


def test_damaged_exif_turns_nothing(folder: Path) -> None:
    """Pixels are whole where what is said of them is not: such a picture is read as it is stored."""
    expected = load(folder)
    file = folder / "train" / "cat" / "0.png"
    Image.open(file).save(file, exif=b"Exif\0\0no TIFF header")
    assert load(folder).spec == expected.spec


def test_older_decoders_cache_is_not_used(
    folder: Path, tmp_path: Path, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels that another version of the decoder made are left alone; the images are decoded again."""
    monkeypatch.setattr(content_module, "DECODER_VERSION", 1)
    load(folder, tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.setattr(content_module, "pillow_version", "other")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    load(folder, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_folders_told_apart_by_content_alone_share_nothing(tmp_path: Path) -> None:
    """Equal names, sizes and times with other bytes: each folder gets its own pixels and fingerprint."""
    roots = tmp_path / "one", tmp_path / "two"
    for seed, root in enumerate(roots):
        for part in ("train/a", "train/b", "test/a", "test/b"):
            file = root / part / "0.bmp"  # as long whatever it shows
            write_image(file, seed)
            os.utime(file, ns=(0, 0))
    one, two = (load(root, tmp_path / "cache").spec.fingerprint for root in roots)
    assert one == load(roots[0]).spec.fingerprint
    assert two == load(roots[1]).spec.fingerprint
    assert one != two


def test_altered_cache_is_decoded_again(
    folder: Path, tmp_path: Path, decoded: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One byte of a cached split is turned: a line says so, and the pixels are those of the files."""
    expected = load(folder, tmp_path / "cache")
    decoded.clear()
    file = next((tmp_path / "cache").glob("*/test.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    dataset = load(folder, tmp_path / "cache")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "damaged: test.npy was altered" in error
    assert len(set(decoded)) == 8
    assert torch.equal(dataset.test.images, expected.test.images)


def test_images_that_change_meanwhile_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels are never kept under the hash of other files."""
    hashed = content_module.hash_content

    def hash_and_change(*arguments: object) -> str:
        write_image(folder / "train" / "dog" / "2.png", 77)
        return hashed(*arguments)

    monkeypatch.setattr(folder_images, "hash_content", hash_and_change)
    assert "changed while they were decoded" in refusal_of(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []

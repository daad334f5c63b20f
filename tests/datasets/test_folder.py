"""A folder of images: what is loaded, what is refused, and that it is decoded only once."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning_core.config.pictures import PictureOptions
from pruning_core.datasets import content as content_module
from pruning_core.datasets import decoding as decoding_module
from pruning_core.datasets import folder_images, load_dataset
from pruning_core.datasets.base import Dataset, compute_fingerprint, compute_statistics
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import Fit, Picture


def write_image(file: Path, seed: int, width: int = 10, height: int = 8) -> None:
    """Write random pixels; in PNG they come back as they were."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two classes, three images each for training, one for testing."""
    root = tmp_path / "images"
    for seed, name in enumerate(("cat", "dog")):
        for number in range(3):
            write_image(root / "train" / name / f"{number}.png", 10 * seed + number)
        write_image(root / "test" / name / "0.png", 100 + seed)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collect the files that are decoded."""
    files: list[Path] = []
    read = decoding_module.read_picture

    def note(file: Path, sha256: bytes, fit: Fit) -> Picture:
        files.append(file)
        return read(file, sha256, fit)

    monkeypatch.setattr(decoding_module, "read_picture", note)
    return files


def load(folder: Path, cache: Path | None = None, **options: object) -> Dataset:
    """Load by name, as a grid does."""
    return load_dataset(f"folder:{folder}", cache=cache, pictures=PictureOptions(**options))


def refusal_of(folder: Path, cache: Path | None = None, **options: object) -> str:
    """Return the text of the error, which must be one line."""
    with pytest.raises(DatasetError) as caught:
        load(folder, cache, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_loads_images_class_by_class(folder: Path) -> None:
    """Pixels are those of the files, labels follow the sorted class names."""
    dataset = load(folder)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (dataset.train.images.dtype, dataset.train.labels.dtype) == (torch.uint8, torch.int64)
    third = np.asarray(Image.open(folder / "train" / "cat" / "2.png"))  # (8, 10, 3)
    assert np.array_equal(dataset.train.images[2].permute(1, 2, 0).numpy(), third)
    last = np.asarray(Image.open(folder / "test" / "dog" / "0.png"))
    assert np.array_equal(dataset.test.images[1].permute(1, 2, 0).numpy(), last)


def test_spec_says_nothing_of_the_path(folder: Path) -> None:
    """The spec names a folder by its content, so that moving it makes no new checkpoint."""
    spec = load(folder).spec
    assert (spec.name, spec.channels, spec.height, spec.width, spec.classes) == ("folder", 3, 8, 10, 2)
    moved = folder.rename(folder.with_name("moved"))
    assert load(moved).spec == spec


@pytest.mark.parametrize("cached", [True, False])
def test_spec_is_computed_from_the_pixels(folder: Path, tmp_path: Path, cached: bool) -> None:
    """Fingerprint, mean and std are of the decoded pixels, whether they come from a cache or not."""
    dataset = load(folder, tmp_path / "cache" if cached else None)
    assert dataset.spec.fingerprint == compute_fingerprint(dataset.train, dataset.test)
    assert (dataset.spec.mean, dataset.spec.std) == compute_statistics(dataset.train.images)


@pytest.mark.parametrize(("side", "padding"), [(4, 0), (8, 1), (40, 4), (100, 4)])
def test_crop_padding_is_no_more_than_an_eighth(tmp_path: Path, side: int, padding: int) -> None:
    """Small pictures are shifted less, so that what they show stays within."""
    for part in ("train/a/0.png", "train/b/0.png", "test/a/0.png", "test/b/0.png"):
        write_image(tmp_path / part, 0, width=side, height=side)
    augment = load(tmp_path).spec.augment
    assert (augment.flip, augment.crop_padding) == (True, padding)


def test_many_files_keep_their_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding in many chunks, in threads, does not mix images up."""
    expected = load(folder)
    monkeypatch.setattr(decoding_module, "_MAX_CHUNK_FILES", 1)
    assert torch.equal(load(folder).train.images, expected.train.images)


def test_progress_is_shown_for_big_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Decoding many files says so on standard error; decoding few is silent."""
    load(folder)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(decoding_module, "_MIN_FILES_FOR_PROGRESS", 6)
    load(folder)
    assert "decode 6 images of images/train" in capsys.readouterr().err


def test_other_kinds_of_pictures_become_rgb(folder: Path) -> None:
    """Grey, transparent and palette pictures are converted; a grey one has three equal channels."""
    picture = Image.open(folder / "test" / "cat" / "0.png")
    picture.convert("L").save(folder / "test" / "cat" / "1.png")
    picture.convert("RGBA").save(folder / "test" / "cat" / "2.png")
    picture.convert("P").save(folder / "test" / "cat" / "3.png", transparency=bytes([0, 128, 255]))
    images = load(folder).test.images
    assert images.shape == (5, 3, 8, 10)
    assert torch.equal(images[1, 0], images[1, 2])
    assert torch.equal(images[2], images[0])


def test_hidden_and_foreign_files_are_left_aside(folder: Path) -> None:
    """Files that are no images, and hidden files and folders, change nothing."""
    expected = load(folder).spec
    (folder / "train" / "cat" / "notes.txt").write_text("x")
    (folder / "train" / "cat" / "._0.png").write_text("x")
    (folder / "train" / ".checkpoints").mkdir()
    write_image(folder / "train" / "cat" / ".thumbnails" / "0.png", 0)
    (folder / "train" / "list.csv").write_text("x")
    assert load(folder).spec == expected


def test_images_may_lie_deeper(folder: Path) -> None:
    """As with ImageFolder, a class may have folders of its own."""
    write_image(folder / "train" / "dog" / "puppies" / "0.PNG", 7)
    assert load(folder).train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_home_is_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in a grid file may begin with ~, which no shell expands there."""
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_dataset("folder:~/images").spec == load(folder).spec


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A path where nothing is, is named, with the layout expected."""
    text = refusal_of(tmp_path / "nowhere")
    assert f"there is no folder {tmp_path / 'nowhere'}" in text
    assert "train/<class>" in text


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_split_is_named(folder: Path, split: str) -> None:
    """A folder without train/ or test/ is refused, with what it holds instead."""
    (folder / split).rename(folder / "validation")
    text = refusal_of(folder)
    assert f"has no {split}/" in text
    assert "validation/" in text


def test_unequal_classes_are_named(folder: Path) -> None:
    """Classes that only one split has are named."""
    write_image(folder / "train" / "cow" / "0.png", 0)
    (folder / "test" / "dog").rename(folder / "test" / "dogs")
    assert refusal_of(folder).endswith("only in train/: cow, dog; only in test/: dogs")


def test_single_class_is_refused(folder: Path) -> None:
    """One class leaves nothing to tell apart."""
    shutil.rmtree(folder / "train" / "dog")
    shutil.rmtree(folder / "test" / "dog")
    assert "train/ holds 1 class(es) (cat), at least 2 are needed" in refusal_of(folder)


def test_empty_class_is_named(folder: Path) -> None:
    """A class without an image is named."""
    (folder / "test" / "dog" / "0.png").unlink()
    assert f"class {folder / 'test' / 'dog'} holds no image" in refusal_of(folder)


def test_unreadable_image_is_named(folder: Path, tmp_path: Path) -> None:
    """A file that is no image is named, and leaves no half-written cache."""
    file = folder / "train" / "dog" / "1.png"
    file.write_text("no image")
    assert refusal_of(folder, tmp_path / "cache") == (
        f"dataset folder:{folder}: 1 of 8 pictures cannot be decoded: train/dog/1.png (it is no image); "
        "mend or delete it, or leave it out with --skip-broken 1"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_truncated_image_is_named(folder: Path) -> None:
    """A picture of which half is missing is refused, not filled with grey."""
    file = folder / "test" / "dog" / "0.png"
    file.write_bytes(file.read_bytes()[:150])
    assert "1 of 8 pictures cannot be decoded: test/dog/0.png (" in refusal_of(folder)


def test_other_size_is_named(folder: Path) -> None:
    """An image of another size is named, with its size and the one expected."""
    file = folder / "test" / "dog" / "0.png"
    write_image(file, 0, width=8, height=10)
    text = refusal_of(folder)
    assert f"{file} is 8×10 pixels" in text
    assert f"{folder / 'train' / 'cat' / '0.png'} is 10×8" in text
    assert "--image-size" in text


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

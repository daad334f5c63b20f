"""A folder of images: what is loaded, what is refused, and that it is decoded only once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning_core.datasets import decoding as decoding_module
from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import compute_fingerprint, compute_statistics
from tests.helpers.image_folder import load, refusal_of, write_image


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
    (folder / split).rename(folder / "dev")
    text = refusal_of(folder)
    assert f"has no {split}/" in text
    assert "dev/" in text


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
        f"dataset folder:{folder}: 1 of 8 pictures cannot be decoded: train/dog/1.png (it is no image "
        "of BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP); "
        "mend or delete it, or leave it out with --skip-broken 1"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_pictures_of_12_bits_are_said_to_be_dark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stored in 16 bits as they are, they are nearly black: a line says so, unless one is brighter."""
    for highest, notes in ((4095, 1), (4096, 0)):
        folder = tmp_path / str(highest)
        for number, name in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
            levels = np.full((8, 10), highest if number == 1 else 1000 + number, dtype=np.uint16)
            (folder / name).mkdir(parents=True)
            Image.fromarray(levels).save(folder / name / "0.png")
        load(folder)
        said = capsys.readouterr().err
        assert said.count("of its 4 pictures of 16 bits is above 4,095, where 65,535 is white") == notes
        assert notes == said.count("nearly black")


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

"""A folder of photographs as people have it: many sizes and modes, some broken, not divided yet."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from pruning_core.config.pictures import PictureOptions
from pruning_core.datasets import content as content_module
from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import Dataset
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import Fit, decode_picture
from tests.helpers.photographs import CLASSES, damage, make_photograph, save_as, write_photographs

SHARED = {"image_size": 32, "test_share": 0.3}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write thirty photographs of twelve sizes in six modes."""
    write_photographs(tmp_path / "photographs", count=30, sizes=12, broken=0)
    return tmp_path / "photographs"


def load(folder: Path, cache: Path | None = None, **options: object) -> Dataset:
    """Load as a grid does that asks for 32 pixels and three tenths for testing."""
    return load_dataset(f"folder:{folder}", cache=cache, pictures=PictureOptions(**{**SHARED, **options}))


def refusal_of(folder: Path, cache: Path | None = None, **options: object) -> str:
    """Return the text of the error."""
    with pytest.raises(DatasetError) as caught:
        load(folder, cache, **options)
    return str(caught.value)


def test_all_become_one_size(photographs: Path) -> None:
    """Test pictures come in the size asked for, training ones larger, with the size that they had."""
    dataset = load(photographs, image_size="32x48")
    spec = dataset.spec
    assert (spec.name, spec.channels, spec.height, spec.width, spec.classes) == ("folder", 3, 32, 48, 2)
    assert dataset.class_names == CLASSES
    assert dataset.test.images.shape[1:] == (3, 32, 48)
    assert dataset.train.images.shape[1:] == (3, 48, 72)
    assert len(dataset.train.labels) + len(dataset.test.labels) == 30
    assert dataset.train.sizes is not None
    assert len(set(map(tuple, dataset.train.sizes.tolist()))) > 5
    assert (spec.augment.flip, spec.augment.crop_padding, spec.augment.resized_crop) == (True, 0, True)
    bright, dark = (dataset.test.images[dataset.test.labels == n].float().mean() for n in (0, 1))
    assert bright > dark + 80


def test_test_pixels_are_those_of_the_decoder(photographs: Path) -> None:
    """Each test picture is what the decoder makes of its file, in the order of the names."""
    (photographs / "train").mkdir()
    for name in CLASSES:
        shutil.copytree(photographs / name, photographs / "val" / name)
        (photographs / name).rename(photographs / "train" / name)
    dataset = load(photographs, test_share=None)
    files = [file for name in CLASSES for file in sorted((photographs / "val" / name).iterdir())]
    expected = [decode_picture(file.read_bytes(), Fit("crop", 32, 32)).pixels for file in files]
    for found, pixels in zip(dataset.test.images, expected, strict=True):
        assert torch.equal(found, torch.from_numpy(pixels.transpose(2, 0, 1).copy()))


def test_neither_names_nor_what_lies_beside_matter(photographs: Path, tmp_path: Path) -> None:
    """Moved, with a text beside, with a cache or without: the spec is the same, and so is each key."""
    expected = load(photographs).spec
    assert load(photographs, tmp_path / "cache").spec == expected
    (photographs / "bright" / "notes.txt").write_text("x")
    moved = photographs.rename(tmp_path / "moved")
    assert load(moved, tmp_path / "cache").spec == expected


@pytest.mark.parametrize("options", [{"image_size": 33}, {"test_share": 0.5}])
def test_another_choice_is_another_dataset(
    photographs: Path, tmp_path: Path, options: dict[str, float]
) -> None:
    """Another size or share has a spec, and pixels in the cache, of its own."""
    first, second = (load(photographs, tmp_path / "cache", **chosen) for chosen in ({}, options))
    assert first.spec.fingerprint != second.spec.fingerprint
    assert load(photographs, tmp_path / "cache").spec == first.spec
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_sizes_that_pictures_had_count(tmp_path: Path) -> None:
    """Two folders whose stored pixels are equal, but not the shapes that they came from, are two datasets."""
    for name, sides in (("square", (40, 40)), ("long", (80, 20))):
        for split in ("train", "test"):
            for label, colour in enumerate((40, 200)):
                file = tmp_path / name / split / str(label) / "0.png"
                file.parent.mkdir(parents=True)
                Image.new("RGB", sides if split == "train" else (40, 40), (colour,) * 3).save(file)
    square, long = (load(tmp_path / name, test_share=None) for name in ("square", "long"))
    assert torch.equal(square.train.images, long.train.images)
    assert square.spec.fingerprint != long.spec.fingerprint


def test_all_broken_pictures_are_in_one_error(photographs: Path, tmp_path: Path) -> None:
    """Every broken picture is found before anything is refused; the number to leave out is said."""
    damage(photographs / "bright" / "012.jpg")
    (photographs / "dark" / "013.jpg").write_bytes(b"")
    (photographs / "dark" / "999.png").write_text("x")
    head, *lines = refusal_of(photographs, tmp_path / "cache").split("\n")
    assert (
        "3 of 31 pictures cannot be decoded; mend or delete them, or leave them out with --skip-broken 3"
        in head
    )
    assert sorted(line.strip().partition(":")[0] for line in lines) == [
        "bright/012.jpg",
        "dark/013.jpg",
        "dark/999.png",
    ]
    assert list((tmp_path / "cache").iterdir()) == []
    assert "3 of 31" in refusal_of(photographs, tmp_path / "cache", skip_broken=2)


@pytest.mark.parametrize("cached", [True, False])
def test_what_is_left_out_decides_nothing_else(
    photographs: Path, tmp_path: Path, cached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With broken pictures left out the dataset is the one without them; each run says which."""
    cache = tmp_path / "cache" if cached else None
    broken = [damage(photographs / "bright" / "000.jpg"), photographs / "dark" / "zzz.jpg"]
    broken[1].write_text("x")
    for allowed in (2, 5):
        capsys.readouterr()
        dataset = load(photographs, cache, skip_broken=allowed)
        said = capsys.readouterr().err
        assert "2 broken pictures are left out; as --skip-broken asks" in said
        assert all(file.name in said for file in broken)
    assert "2 of 31 pictures cannot be decoded" in refusal_of(photographs, cache, skip_broken=1)
    for file in broken:
        file.unlink()
    alone = load(photographs)
    assert dataset.spec == alone.spec
    for split in ("train", "test"):
        left, other = getattr(dataset, split), getattr(alone, split)
        assert torch.equal(left.images, other.images)
        assert torch.equal(left.labels, other.labels)


def test_the_first_picture_may_be_broken_where_all_have_one_size(tmp_path: Path) -> None:
    """Without a size to resize to, the first whole picture says which size all must have."""
    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                save_as(make_photograph(number, 50, 20, 16), "L", tmp_path / split / name / str(number))
    damage(tmp_path / "train" / "bright" / "0.png")
    plain = {"image_size": None, "test_share": None}
    assert "1 of 12 pictures" in refusal_of(tmp_path, **plain)
    dataset = load(tmp_path, **plain, skip_broken=1)
    assert (dataset.spec.height, dataset.spec.width, len(dataset.train.labels)) == (16, 20, 5)


@pytest.mark.parametrize("image_size", [None, 32])
def test_a_class_of_broken_pictures_is_told(photographs: Path, image_size: int | None) -> None:
    """A class of which nothing is left cannot be learnt, however many may be left out."""
    for file in (photographs / "dark").iterdir():
        damage(file)
    text = refusal_of(photographs, skip_broken=100, image_size=32)
    assert "of dark; all of them are broken" in text
    for file in (photographs / "bright").iterdir():
        damage(file)
    assert "pictures cannot be decoded" in refusal_of(photographs, skip_broken=100, image_size=image_size)


def test_files_that_may_not_be_read_are_never_left_out(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs it must not decide what is learnt: what one user may not read is an error, all in one."""
    opened = Path.open

    def refuse(self: Path, *arguments: object, **options: object) -> object:
        if self.name in ("000.jpg", "003.png"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(content_module.Path, "open", refuse)
    text = refusal_of(photographs, skip_broken=10)
    assert "2 of 30 files cannot be read by this user" in text
    assert "bright/000.jpg: Permission denied" in text


def test_a_share_that_leaves_a_side_without_a_class_is_refused(photographs: Path) -> None:
    """Of few pictures a small share may take none of a class: that class is named, and what to do."""
    text = refusal_of(photographs, test_share=0.01)
    assert "no picture for testing of bright, dark; --test-share 0.01 makes 30 + 0 by their content" in text
    assert "no picture for training of" in refusal_of(photographs, test_share=0.99)
    assert "\n" not in text


def test_copies_in_both_splits_are_said(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures that are trained and tested on, also under other names or by links, are counted in a line."""
    for split in ("train", "test"):
        shutil.copytree(photographs, tmp_path / "split" / split)
    for file in sorted((tmp_path / "split" / "test" / "dark").iterdir())[:5]:
        file.unlink()
    load(tmp_path / "split", test_share=None)
    assert "25 of 25 test images are in the training split too" in capsys.readouterr().err


def test_moving_pictures_are_said(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of several frames the first one counts is said, when they are decoded and later too."""
    frames = [make_photograph(seed, 20, 40, 30) for seed in (100, 101)]
    frames[0].save(photographs / "dark" / "a.gif", save_all=True, append_images=frames[1:])
    for _ in range(2):
        load(photographs, tmp_path / "cache")
        assert (
            "of 1 picture(s) with several frames the first counts, as of dark/a.gif"
            in capsys.readouterr().err
        )


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are UTF-8 there")
def test_names_that_are_no_utf_8(photographs: Path, tmp_path: Path) -> None:
    """Files and classes may be called anything: the files are read, the class is shown by its bytes."""
    strange = photographs / os.fsdecode(b"caf\xe9")
    (photographs / "dark").rename(strange)
    (strange / "001.jpg").rename(strange / os.fsdecode(b"\xff\xfe.jpg"))
    for _ in range(2):
        dataset = load(photographs, tmp_path / "cache")
        assert dataset.class_names == ("bright", "caf\\xe9")
    damage(strange / os.fsdecode(b"\xff\xfe.jpg"))
    assert "caf\\xe9/\\xff\\xfe.jpg" in refusal_of(photographs, tmp_path / "cache")


def test_pictures_of_several_sizes_need_a_size(photographs: Path) -> None:
    """Without --image-size the error names it."""
    text = refusal_of(photographs, image_size=None)
    assert "--image-size 224" in text
    assert "\n" not in text

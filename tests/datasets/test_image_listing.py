"""Which images a folder holds: each real file once, whatever links lead to it."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from pruning_core.datasets.image_listing import WHOLE, FolderContent, list_images
from pruning_core.errors import DatasetError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")

CLASSES = ("cat", "dog")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make two classes of two files each for training and one for testing; nothing is decoded here."""
    root = tmp_path / "images"
    for split, count in (("train", 2), ("test", 1)):
        for name in CLASSES:
            for number in range(count):
                put(root / split / name / f"{number}.png")
    return root


def put(file: Path) -> Path:
    """Make a file, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    return file


def listed(content: FolderContent, folder: Path) -> dict[str, list[str]]:
    """Return the files of each split, below the split's folder."""
    return {
        split: [file.relative_to(folder / split).as_posix() for file in listing.files]
        for split, listing in content.splits.items()
    }


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("train/cat/loop", "."),
        ("train/cat/loop", ".."),
        ("train/cat/loop", "../.."),
        ("train/cat/loop", "/"),
        ("train/cat/loop", "loop"),
        ("train/cat/loop.png", "loop.png"),
        ("train/cat/loop", "../dog"),
        ("train/cat/loop", "../../test/cat"),
        ("train/cat/0-first.png", "1.png"),
        ("train/cat/2.png", "../dog/1.png"),
        ("train/cat/2.png", "gone.png"),
        ("train/loop", "."),
        ("train/loop", ".."),
        ("train/gone", "nowhere"),
    ],
)
def test_each_real_file_is_listed_once(folder: Path, link: str, target: str) -> None:
    """A link in a circle, to what is listed already or to nothing adds no image, and is named in a line."""
    expected = list_images(folder)
    assert expected.notes == ()
    (folder / link).symlink_to(target)
    content = list_images(folder)
    assert content.splits == expected.splits
    assert content.class_names == CLASSES
    (note,) = content.notes
    assert "1 left aside" in note
    assert link in note
    assert "\n" not in note


def test_two_links_to_each_other(folder: Path) -> None:
    """Folders that hold links to one another are entered once each."""
    put(folder / "train" / "cat" / "a" / "5.png")
    put(folder / "train" / "cat" / "b" / "6.png")
    (folder / "train" / "cat" / "a" / "b").symlink_to("../b")
    (folder / "train" / "cat" / "b" / "a").symlink_to("../a")
    content = list_images(folder)
    assert listed(content, folder)["train"][:4] == ["cat/0.png", "cat/1.png", "cat/a/5.png", "cat/b/6.png"]
    assert "2 left aside" in content.notes[0]


def test_a_folder_outside_is_followed_once(folder: Path, tmp_path: Path) -> None:
    """A class may lie elsewhere in part or as a whole; a second link to it, or one back, adds nothing."""
    outside = tmp_path / "outside"
    put(outside / "9.png")
    put(outside / "deep" / "8.png")
    (outside / "back").symlink_to(folder)
    cat = folder / "train" / "cat"
    (cat / "more").symlink_to(outside)
    (cat / "much-more").symlink_to(outside)
    (folder / "test" / "dog").rename(tmp_path / "dogs")
    (folder / "test" / "dog").symlink_to(tmp_path / "dogs")
    content = list_images(folder)
    assert listed(content, folder) == {
        "train": [
            "cat/0.png",
            "cat/1.png",
            "cat/more/9.png",
            "cat/more/deep/8.png",
            "dog/0.png",
            "dog/1.png",
        ],
        "test": ["cat/0.png", "dog/0.png"],
    }
    assert content.splits["train"].labels == (0, 0, 0, 0, 1, 1)


def test_files_may_be_links(folder: Path, tmp_path: Path) -> None:
    """A folder of links to files elsewhere is listed as if the files lay there, without a word."""
    pool = put(tmp_path / "pool" / "5.png")
    (folder / "train" / "dog" / "2.png").symlink_to(pool)
    content = list_images(folder)
    assert listed(content, folder)["train"][-1] == "dog/2.png"
    assert content.notes == ()


def test_hard_links_are_files(folder: Path) -> None:
    """Two names of one content are two files, as in a copy of the folder."""
    os.link(folder / "train" / "cat" / "0.png", folder / "train" / "cat" / "2.png")
    assert listed(list_images(folder), folder)["train"][:3] == ["cat/0.png", "cat/1.png", "cat/2.png"]


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_file_in_two_classes_is_refused(folder: Path, tmp_path: Path, as_folder: bool) -> None:
    """One image cannot have two labels: both names are in the error."""
    pool = put(tmp_path / "pool" / "5.png")
    for name in CLASSES:
        if as_folder:
            (folder / "train" / name / "pool").symlink_to(pool.parent)
        else:
            (folder / "train" / name / "5.png").symlink_to(pool)
    with pytest.raises(
        DatasetError, match=r"cat/(pool/)?5\.png and train/dog/(pool/)?5\.png are one file"
    ) as caught:
        list_images(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation", "TEST"])
def test_the_test_split_may_be_called_otherwise(folder: Path, name: str) -> None:
    """Beside `train/`, `val/`, `valid/` and `validation/` are what is tested on, whatever their capitals."""
    expected = list_images(folder).splits["test"].labels
    (folder / "test").rename(folder / name)
    (folder / "train").rename(folder / ("Train" if name[0].isupper() else "train"))
    content = list_images(folder)
    assert content.splits["test"].labels == expected
    assert content.splits["test"].files[0] == folder / name / "cat" / "0.png"
    assert content.notes == ()


def test_of_two_test_splits_one_counts(folder: Path) -> None:
    """With `test/` and `val/`, `test/` is tested on, and a line says so."""
    for name in CLASSES:
        put(folder / "val" / name / "7.png")
    content = list_images(folder)
    assert listed(content, folder)["test"] == ["cat/0.png", "dog/0.png"]
    assert content.notes == (f"dataset folder:{folder}: tested on test/; val/ is left aside",)


@pytest.mark.parametrize("inside", [True, False])
def test_one_folder_of_classes_is_listed_whole(folder: Path, inside: bool) -> None:
    """To be divided, the classes lie in the folder itself, or in `train/` where nothing else is there."""
    for split in ("test", "train")[: 1 if inside else 2]:
        for name in CLASSES:
            for file in (folder / split / name).iterdir():
                if split == "train":
                    file.rename(put(folder / name / file.name))
                else:
                    file.unlink()
            (folder / split / name).rmdir()
        (folder / split).rmdir()
    content = list_images(folder, undivided=True)
    assert content.class_names == CLASSES
    assert content.splits.keys() == {WHOLE}
    assert content.splits[WHOLE].labels == (0, 0, 1, 1)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """In one folder of classes `train/` beside others is one of them, and may hold trains."""
    for name in ("bus", "train"):
        put(tmp_path / name / "0.png")
    assert list_images(tmp_path, undivided=True).class_names == ("bus", "train")


def test_two_training_splits_are_refused(folder: Path) -> None:
    """Which of `train/` and `Train/` is meant is the user's to say."""
    put(folder / "Train" / "cat" / "0.png")
    with pytest.raises(DatasetError, match=r"has both train/ and Train/: keep one"):
        list_images(folder)


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation", "Test"])
def test_what_is_divided_already_is_not_divided_again(folder: Path, name: str) -> None:
    """A folder with a test split is refused where it is to be divided."""
    (folder / "test").rename(folder / name)
    with pytest.raises(DatasetError, match=rf"has {name}/ already, .* leave out --test-share") as caught:
        list_images(folder, undivided=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [("Train", "dev"), ("training", "testing")])
@pytest.mark.parametrize("flat", [True, False])
def test_splits_are_no_classes(tmp_path: Path, names: tuple[str, str], flat: bool) -> None:
    """Where one folder is to be divided, folders called like splits are not taken for its classes."""
    for name in names:
        for inner in CLASSES:
            put(tmp_path / name / ("" if flat else inner) / f"{inner}.png")
    for undivided in (True, False):
        with pytest.raises(DatasetError) as caught:
            list_images(tmp_path, undivided=undivided)
        assert "\n" not in str(caught.value)
        assert ("called like a split" in str(caught.value)) == undivided
        assert "--test-share 0.2" not in str(caught.value)


def test_a_folder_of_training_pictures_alone_may_be_divided(folder: Path) -> None:
    """Where `train/` is all there is, the error says that --test-share divides it; else it does not."""
    (folder / "test").rename(folder / "holdout")
    with pytest.raises(DatasetError, match="has no test/") as caught:
        list_images(folder)
    assert "--test-share" not in str(caught.value)
    shutil.rmtree(folder / "holdout")
    with pytest.raises(DatasetError, match=r"--test-share 0\.2"):
        list_images(folder)
    assert list_images(folder, undivided=True).class_names == CLASSES


def test_pictures_beside_the_classes_are_named(folder: Path) -> None:
    """A picture that lies in `train/` or `test/` itself is in no class, and a line says so."""
    expected = list_images(folder)
    put(folder / "train" / "lost.jpg")
    put(folder / "test" / "lost.jpg")
    content = list_images(folder)
    assert content.splits == expected.splits
    (note,) = content.notes
    assert note.endswith("2 left aside, pictures that lie in no class: train/lost.jpg, test/lost.jpg")


def test_pictures_in_no_class_are_counted(tmp_path: Path) -> None:
    """A folder of pictures without classes is refused, with their number and what is expected."""
    for number in range(3):
        put(tmp_path / f"{number}.jpg")
    for undivided, said in ((True, "it holds 0 class(es)"), (False, "has no train/")):
        with pytest.raises(DatasetError, match=re.escape(said)) as caught:
            list_images(tmp_path, undivided=undivided)
        assert "--test-share 0.2" in str(caught.value)
        assert ("3 images lie in it itself, in no class" in str(caught.value)) == undivided


def test_files_that_are_no_images_are_counted(folder: Path) -> None:
    """What is left out by its name is said in one line, the commonest kinds first; hidden files are not."""
    for name in ("a.txt", "b.TXT", "c.csv", "LICENSE", "d.xml", ".hidden"):
        put(folder / "train" / "cat" / name)
    (note,) = list_images(folder).notes
    assert note.endswith("5 files are no images by their names: .txt 2, LICENSE 1, .csv 1, …")


def test_a_pipe_is_no_image(folder: Path) -> None:
    """What is no file, whatever its name, is left aside: reading it would wait for ever."""
    os.mkfifo(folder / "train" / "cat" / "2.png")
    content = list_images(folder)
    assert listed(content, folder)["train"][:2] == ["cat/0.png", "cat/1.png"]
    assert "train/cat/2.png" in content.notes[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is hidden from root")
def test_a_folder_that_cannot_be_read_is_an_error(folder: Path) -> None:
    """Images that cannot be listed are not dropped without a word."""
    hidden = put(folder / "train" / "cat" / "more" / "2.png").parent
    hidden.chmod(0)
    try:
        with pytest.raises(PermissionError):
            list_images(folder)
    finally:
        hidden.chmod(0o700)

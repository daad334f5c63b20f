"""A folder divided by content: no picture changes its side; copies are found."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pruning_core.datasets import content, decoding
from pruning_core.datasets.content import Pictures, check_classes, divide, explain_copies, explain_pictures
from pruning_core.errors import DatasetError
from tests.helpers.image_folder import load

FOLDER = Path("photos")


def pictures(contents: list[str], labels: list[int] | None = None, prefix: str = "p") -> Pictures:
    """Return pictures that were never written: of each only the hash counts."""
    files = tuple(FOLDER / f"{prefix}{number}.jpg" for number in range(len(contents)))
    hashes = tuple(hashlib.sha256(content.encode()).digest() for content in contents)
    return Pictures(files, tuple(labels or [0] * len(contents)), hashes)


def side_of(divided: dict[str, Pictures]) -> dict[bytes, str]:
    """Return the side of each content."""
    return {sha256: split for split, found in divided.items() for sha256 in found.hashes}


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_the_share_is_about_what_was_asked_for(share: float) -> None:
    """Of two thousand pictures the share comes out to three points, and each is on one side."""
    divided = divide(pictures([str(n) for n in range(2000)]), share)
    assert abs(len(divided["test"].files) / 2000 - share) < 0.03
    assert len(divided["train"].files) + len(divided["test"].files) == 2000


def test_a_pictures_side_depends_on_its_content_alone() -> None:
    """Other names, another order, more pictures beside it: each picture stays on its side."""
    before = side_of(divide(pictures([str(n) for n in range(300)]), 0.2))
    after = side_of(divide(pictures([str(n) for n in reversed(range(500))], prefix="other"), 0.2))
    assert all(after[sha256] == side for sha256, side in before.items())


def test_a_larger_share_takes_more_to_the_test_side() -> None:
    """What was tested on with a smaller share is tested on with a larger one."""
    small, large = (
        {
            x
            for x, side in side_of(divide(pictures([str(n) for n in range(300)]), share)).items()
            if side == "test"
        }
        for share in (0.1, 0.3)
    )
    assert small < large


def test_copies_are_on_one_side() -> None:
    """A picture that is there a hundred times is on one side a hundred times."""
    divided = divide(pictures(["same"] * 100), 0.5)
    assert sorted(len(found.files) for found in divided.values()) == [0, 100]


@pytest.mark.parametrize(("split", "kind"), [("train", "training"), ("test", "testing")])
def test_a_side_without_a_class_is_told(split: str, kind: str) -> None:
    """Which class a side lacks is in the error, with what to do."""
    splits = {"train": pictures(["a", "b"], [0, 1]), "test": pictures(["c", "d"], [0, 1])}
    check_classes(FOLDER, ["cat", "dog"], splits, "do this")
    splits[split] = splits[split].take([0])
    with pytest.raises(DatasetError, match=f"no picture for {kind} of dog; do this"):
        check_classes(FOLDER, ["cat", "dog"], splits, "do this")


def test_copies_between_splits_and_classes_are_counted() -> None:
    """A picture that is trained and tested on, and one in two classes, are said, each in one line."""
    splits = {"train": pictures(["a", "b", "c"], [0, 1, 1]), "test": pictures(["d", "e"], [0, 1])}
    assert list(explain_copies(FOLDER, splits)) == []
    splits["test"] = pictures(["a", "a", "e"], [0, 0, 1])
    (line,) = explain_copies(FOLDER, splits)
    assert "2 of 3 test images are in the training split too, byte for byte" in line
    splits["test"] = pictures(["a", "e"], [1, 1])
    shared, twice = explain_copies(FOLDER, splits)
    assert "1 of 2 test images" in shared
    assert "1 images lie in two classes" in twice


@pytest.mark.parametrize("count", [1, 2, 10, 12])
def test_of_many_pictures_ten_are_named(count: int) -> None:
    """One alone is said in one line; of many the first ten stand below, and the number of others."""
    named = [(FOLDER / f"{number}\n.jpg", "why") for number in range(count)]
    text = explain_pictures(FOLDER, named, f"{count} are broken", "mend them")
    lines = text.split("\n")
    assert len(lines) == (1 if count == 1 else 1 + min(count, 10) + (count > 10))
    assert all(line.startswith("  ") for line in lines[1:])
    assert (lines[-1] == "  and 2 more") == (count == 12)
    assert "0\\n.jpg" in text


@pytest.mark.parametrize("module", [content, decoding])
def test_as_many_threads_as_this_process_may_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module
) -> None:
    """In a container with a quota no more threads read and decode than it has cores."""
    asked: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, max_workers: int) -> None:
            asked.append(max_workers)
            super().__init__(max_workers)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(module, "usable_cores", lambda: 3)
    load(folder)
    assert set(asked) == {3}

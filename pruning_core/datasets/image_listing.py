"""Which images a folder holds: of `train/<class>/` and `test/<class>/` (or val, …), or of one folder.

Links are followed, but not in a circle, and not to files that lie in a class of their own. What is left
aside is said.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pruning_core.datasets.class_walk import EXTENSIONS, ClassWalk, is_image_name, is_within
from pruning_core.errors import DatasetError

SPLITS = ("train", "test")
TEST_NAMES = ("test", "val", "valid", "validation")
"""Folders that hold the test split, in capitals or not; of several the first one counts."""

SPLIT_NAMES = ("train", "training", *TEST_NAMES, "testing", "dev")
"""How a split may be called by whoever divided a folder; a class that is called so may be none."""

WHOLE = "whole"
"""The one split of a folder that has yet to be divided."""

_DIVIDED = "expected train/<class>/<images> and test/<class>/<images> (or val/, valid/, validation/)"
_LAYOUT = f"{_DIVIDED}, or <class>/<images> and --test-share 0.2"
_MAX_NAMES = 3  # in a line


@dataclass(frozen=True)
class Listing:
    """The images of a split, class by class, and the label of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds, and what a user should know of it."""

    class_names: tuple[str, ...]
    splits: dict[str, Listing]  # train and test, or the whole
    notes: tuple[str, ...]


def list_images(folder: Path, *, undivided: bool = False) -> FolderContent:
    """List the images of a folder; labels follow the sorted class names.

    Args:
        folder: Holds `train/` and one of `TEST_NAMES`; or the classes.
        undivided: Whether it is one folder of classes, to be divided by its reader.

    Raises:
        DatasetError: If a folder or a class is missing or empty, or a file is in two classes of a split.
        OSError: If a folder cannot be read.
    """
    if not folder.is_dir():
        raise DatasetError(f"dataset folder:{folder}: there is no folder {folder.absolute()}; {_LAYOUT}")
    roots, notes = _find_splits(folder, undivided)
    aside: list[Path] = []
    others: Counter[str] = Counter()
    classes = {split: tuple(_visible_folders(root, aside)) for split, root in roots.items()}
    loose = [path for root in roots.values() for path in _images_in(root)]
    first, *more = classes.values()
    if more and first != more[0]:
        train, test = (root.name for root in roots.values())
        raise DatasetError(
            f"dataset folder:{folder}: {train}/ and {test}/ hold unequal classes; "
            f"only in {train}/: {_differing(first, more[0])}; only in {test}/: {_differing(more[0], first)}"
        )
    if len(first) < 2:
        raise DatasetError(_explain_few_classes(folder, next(iter(roots.values())), first))
    real = [os.path.realpath(root / name) for root in roots.values() for name in first]
    listings = {}
    for split, root in roots.items():
        walks = [ClassWalk(root / name, real, aside, others) for name in first]
        listings[split] = _list_split(folder, walks)
    return FolderContent(first, listings, (*notes, *_notes(folder, loose, aside, others)))


def _find_splits(folder: Path, undivided: bool) -> tuple[dict[str, Path], list[str]]:
    """Return split → the folder of its classes, and notes."""
    names = _visible_folders(folder, [])
    trains, tests = _named(("train",), names), _named(TEST_NAMES, names)
    if undivided:
        if len(names) == 1 and trains:
            return {WHOLE: folder / trains[0]}, []
        _refuse_splits(folder, names, tests)
        return {WHOLE: folder}, []
    missing = "" if trains else "train/"
    if trains and not tests:
        missing = "test/ (nor val/, valid/, validation/)"
    if missing:
        held = ", ".join(f"{name}/" for name in names[:5]) or "no folder"
        layout = _DIVIDED if _named(SPLIT_NAMES, names) and names != trains else _LAYOUT
        raise DatasetError(f"dataset folder:{folder} has no {missing}: {layout}; it holds {held}")
    if len(trains) > 1:
        raise DatasetError(
            f"dataset folder:{folder} has both {trains[0]}/ and {trains[1]}/: keep one of them"
        )
    left = ", ".join(f"{name}/" for name in tests[1:])
    is_left = f"{left} {'are' if tests[2:] else 'is'} left aside"
    notes = [f"dataset folder:{folder}: tested on {tests[0]}/; {is_left}"] if left else []
    return {"train": folder / trains[0], "test": folder / tests[0]}, notes


def _refuse_splits(folder: Path, names: Sequence[str], tests: Sequence[str]) -> None:
    """Refuse to take splits for classes where one folder is to be divided."""
    if tests:
        raise DatasetError(
            f"dataset folder:{folder} has {tests[0]}/ already, which is what is tested on: leave out "
            f"--test-share. If {tests[0]} is a class, rename it"
        )
    like = _named(SPLIT_NAMES, names)
    for name in like:
        holds_folders = bool(_visible_folders(folder / name, [])) and not _images_in(folder / name)
        if holds_folders or len(like) == len(names) > 1:
            raise DatasetError(
                f"dataset folder:{folder}: {name}/ is called like a split, and --test-share divides one "
                "folder of classes: name that folder, or call the splits train/ and test/ and leave out "
                f"--test-share. If {name} is a class, rename it"
            )


def _named(known: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that are known, whatever their capitals, in the order of the known ones."""
    return [name for one in known for name in sorted(names, reverse=True) if name.casefold() == one]


def _explain_few_classes(folder: Path, root: Path, names: Sequence[str]) -> str:
    where = "it" if root == folder else f"{root.name}/"
    loose = len(_images_in(root))
    lie = f"; {loose} images lie in {where} itself, in no class" if loose else ""
    one = f" ({names[0]})" if names else ""
    return (
        f"dataset folder:{folder}: {where} holds {len(names)} class(es){one}, at least 2 are needed{lie}; "
        f"{_LAYOUT if root == folder else _DIVIDED}"
    )


def _list_split(folder: Path, walks: list[ClassWalk]) -> Listing:
    files: list[Path] = []
    labels: list[int] = []
    found: dict[str, Path] = {}
    for label, walk in enumerate(walks):
        images = walk.images()
        if not images:
            raise DatasetError(f"class {walk.folder} holds no image ({', '.join(EXTENSIONS)})")
        for path, real in images:
            if real in found:
                raise DatasetError(
                    f"dataset folder:{folder}: {found[real].relative_to(folder)} and "
                    f"{path.relative_to(folder)} are one file, by a link, in two classes; "
                    "keep it in the one that it belongs to"
                )
            found[real] = path
            files.append(path)
            labels.append(label)
    return Listing(tuple(files), tuple(labels))


def _notes(folder: Path, loose: list[Path], aside: list[Path], others: Counter[str]) -> Iterator[str]:
    for paths, why in (
        (loose, "pictures that lie in no class"),
        (aside, "which are broken or lead to what is listed already"),
    ):
        if paths:
            names = ", ".join(path.relative_to(folder).as_posix() for path in paths[:_MAX_NAMES])
            more = f" and {len(paths) - _MAX_NAMES} more" if len(paths) > _MAX_NAMES else ""
            yield f"dataset folder:{folder}: {len(paths)} left aside, {why}: {names}{more}"
    if others:
        by_count = sorted(others.items(), key=lambda pair: -pair[1])
        kinds = ", ".join(f"{kind} {count}" for kind, count in by_count[:_MAX_NAMES])
        more = ", …" if len(others) > _MAX_NAMES else ""
        yield f"dataset folder:{folder}: {others.total()} files are no images by their names: {kinds}{more}"


def _visible_folders(folder: Path, aside: list[Path]) -> list[str]:
    """Return the names of the folders in a folder; links that are broken or lead back go `aside`."""
    names, here = [], os.path.realpath(folder)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and (not os.path.exists(entry) or is_within(here, os.path.realpath(entry))):
            aside.append(entry)
        elif entry.is_dir():
            names.append(entry.name)
    return names


def _images_in(folder: Path) -> list[Path]:
    """Return the images that lie in a folder itself."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return [entry for entry in entries if is_image_name(entry.name) and not entry.is_dir()]


def _differing(names: tuple[str, ...], others: tuple[str, ...]) -> str:
    only = sorted(set(names) - set(others))
    return ", ".join(only[:5]) + (f" and {len(only) - 5} more" if len(only) > 5 else "") or "none"

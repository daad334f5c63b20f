"""Which images a folder holds: those of `train/<class>/` and `test/<class>/`, each real file once.

Links are followed, but not in a circle, and not to files that lie in a class of their own. What is left
aside is said.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pruning_core.errors import DatasetError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Which files are images: those of torchvision's ImageFolder. Others are left aside, and hidden ones."""

SPLITS = ("train", "test")
_LAYOUT = "expected train/<class>/<images> and test/<class>/<images>"
_MAX_NAMES = 3  # in a line


@dataclass(frozen=True)
class Listing:
    """The images of a split, class by class, and the label of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds, and what a user should know of its links."""

    class_names: tuple[str, ...]
    splits: dict[str, Listing]
    notes: tuple[str, ...]


def list_images(folder: Path) -> FolderContent:
    """List the images of a folder; labels follow the sorted class names.

    Raises:
        DatasetError: If a folder or a class is missing or empty, or a file is in two classes of a split.
        OSError: If a folder cannot be read.
    """
    if not folder.is_dir():
        raise DatasetError(f"dataset folder:{folder}: there is no folder {folder.absolute()}; {_LAYOUT}")
    aside: list[Path] = []
    classes: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            held = ", ".join(f"{name}/" for name in _visible_folders(folder, [])[:5]) or "no folder"
            raise DatasetError(f"dataset folder:{folder} has no {split}/: {_LAYOUT}; it holds {held}")
        classes[split] = tuple(_visible_folders(folder / split, aside))
    if classes["train"] != classes["test"]:
        raise DatasetError(
            f"dataset folder:{folder}: train/ and test/ hold unequal classes; "
            f"only in train/: {_differing(classes['train'], classes['test'])}; "
            f"only in test/: {_differing(classes['test'], classes['train'])}"
        )
    count = len(classes["train"])
    if count < 2:
        raise DatasetError(
            f"dataset folder:{folder}: train/ holds {count} class(es), at least 2 are needed; {_LAYOUT}"
        )
    roots = [os.path.realpath(folder / split / name) for split in SPLITS for name in classes[split]]
    listings, real_files = {}, {}
    for split in SPLITS:
        walks = [_ClassWalk(folder / split / name, roots, aside) for name in classes[split]]
        listings[split], real_files[split] = _list_split(folder, walks)
    notes = _notes(folder, aside, len(real_files["train"] & real_files["test"]))
    return FolderContent(classes["train"], listings, tuple(notes))


class _ClassWalk:
    """A walk over the images of one class. What lies in its folder comes before what links lead to."""

    def __init__(self, folder: Path, roots: list[str], aside: list[Path]) -> None:
        """Begin at a class's folder.

        Args:
            folder: Of the class.
            roots: Real paths of the folders of all classes.
            aside: Gets what is not followed.
        """
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._others = [root for root in roots if root != self._root]
        self._aside = aside
        self._seen: set[str] = set()
        self._inodes: set[tuple[int, int]] = set()
        self._links: list[Path] = []

    def images(self) -> list[tuple[Path, str]]:
        """Return each image below: its path as listed, and its real path; by sorted paths."""
        found = list(self._below(self.folder, self._root))
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                found += self._behind(link)
        return sorted(found)

    def _below(self, folder: Path, real: str) -> Iterator[tuple[Path, str]]:
        pending = [(folder, real)]
        while pending:
            here, real_here = pending.pop()
            if not self._enter(here):
                self._aside.append(here)
                continue
            with os.scandir(here) as entries:
                visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
            for entry in visible:  # macOS leaves ._NAME.jpg
                path = here / entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir():
                    pending.append((path, os.path.join(real_here, entry.name)))
                elif _is_image_name(entry.name):
                    yield from self._take(path, os.path.join(real_here, entry.name))

    def _behind(self, link: Path) -> Iterator[tuple[Path, str]]:
        real = os.path.realpath(link)
        if os.path.isdir(real):
            # Not to where it came from, nor to another class: those files are listed where they lie.
            if self._lies_elsewhere(real) or any(
                _is_within(root, real) for root in (self._root, *self._others)
            ):
                self._aside.append(link)
            else:
                yield from self._below(link, real)
        elif not os.path.exists(real) or _is_image_name(link.name):
            if self._lies_elsewhere(real):
                self._aside.append(link)
            else:
                yield from self._take(link, real)

    def _enter(self, folder: Path) -> bool:
        """Tell whether a folder is met for the first time."""
        status = os.stat(folder)
        inode = (status.st_dev, status.st_ino)
        if inode in self._inodes:
            return False
        self._inodes.add(inode)
        return True

    def _take(self, path: Path, real: str) -> Iterator[tuple[Path, str]]:
        if real in self._seen or not os.path.isfile(real):  # again, broken, or a pipe
            self._aside.append(path)
        else:
            self._seen.add(real)
            yield path, real

    def _lies_elsewhere(self, real: str) -> bool:
        return not _is_within(real, self._root) and any(_is_within(real, root) for root in self._others)


def _list_split(folder: Path, walks: list[_ClassWalk]) -> tuple[Listing, set[str]]:
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
    return Listing(tuple(files), tuple(labels)), set(found)


def _notes(folder: Path, aside: list[Path], shared: int) -> Iterator[str]:
    if aside:
        names = ", ".join(path.relative_to(folder).as_posix() for path in aside[:_MAX_NAMES])
        more = f" and {len(aside) - _MAX_NAMES} more" if len(aside) > _MAX_NAMES else ""
        yield (
            f"dataset folder:{folder}: {len(aside)} left aside, which are broken or lead to what is "
            f"listed already: {names}{more}"
        )
    if shared:
        yield f"dataset folder:{folder}: {shared} images of test/ are those of train/, by links"


def _visible_folders(folder: Path, aside: list[Path]) -> list[str]:
    """Return the names of the folders in a folder; links that are broken or lead back go `aside`."""
    names, here = [], os.path.realpath(folder)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and (not os.path.exists(entry) or _is_within(here, os.path.realpath(entry))):
            aside.append(entry)
        elif entry.is_dir():
            names.append(entry.name)
    return names


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _differing(names: tuple[str, ...], others: tuple[str, ...]) -> str:
    only = sorted(set(names) - set(others))
    return ", ".join(only[:5]) + (f" and {len(only) - 5} more" if len(only) > 5 else "") or "none"

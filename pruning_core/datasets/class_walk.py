"""The images of one class: each real file once, whatever links lead to it."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

EXTENSIONS = (
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".mpo"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Which files are images: those of torchvision's ImageFolder and a few more. Hidden ones are left aside."""


class ClassWalk:
    """A walk over the images of one class. What lies in its folder comes before what links lead to."""

    def __init__(self, folder: Path, roots: list[str], aside: list[Path], others: Counter[str]) -> None:
        """Begin at a class's folder.

        Args:
            folder: Of the class.
            roots: Real paths of the folders of all classes.
            aside: Gets what is not followed.
            others: Counts the files that are no images, by how their names end.
        """
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._others = [root for root in roots if root != self._root]
        self._aside = aside
        self._kinds = others
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
                elif is_image_name(entry.name):
                    yield from self._take(path, os.path.join(real_here, entry.name))
                else:
                    self._kinds[path.suffix.lower() or entry.name] += 1

    def _behind(self, link: Path) -> Iterator[tuple[Path, str]]:
        real = os.path.realpath(link)
        if os.path.isdir(real):
            # Not to where it came from, nor to another class: those files are listed where they lie.
            if self._lies_elsewhere(real) or any(
                is_within(root, real) for root in (self._root, *self._others)
            ):
                self._aside.append(link)
            else:
                yield from self._below(link, real)
        elif not os.path.exists(real) or is_image_name(link.name):
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
        return not is_within(real, self._root) and any(is_within(real, root) for root in self._others)


def is_within(path: str, folder: str) -> bool:
    """Return whether a real path is a folder, or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_image_name(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return name.lower().endswith(EXTENSIONS)

"""What a store may delete: leftovers with our names, under the lock of their key, never through links."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from pruning_core.datasets import pixel_cache
from pruning_core.store.attempts import is_left_over
from pruning_core.store.files import size_bytes_of
from pruning_core.store.marker import QUARANTINE

# Folder of the store → the names in it that are ours; the first group is the key.
_NAMES = {
    "temporary": re.compile(r"([0-9a-f]{32})-[^/]+"),
    QUARANTINE: re.compile(r"([0-9a-f]{32})-\d+"),
    "unfinished": re.compile(r"([0-9a-f]{32})\.(?:writing|safetensors)"),
    "attempts": re.compile(r"([0-9a-f]{32})[\w.-]*\.(?:json|trace|writing)"),
    "locks": re.compile(r"([0-9a-f]{32})\.lock"),
}


@dataclass
class Collected:
    """What a collection did."""

    deleted: list[tuple[Path, int]] = field(default_factory=list)  # path, bytes
    kept: list[tuple[Path, str]] = field(default_factory=list)  # path, why it could not be deleted


def collect(root: Path) -> Collected:
    """Delete what no run will use; a key that some process is working on is left alone.

    Kept are finished checkpoints, states that can still be resumed, notes of living processes, and whatever
    has another name than ours.
    """
    collected = Collected()
    for folder in _NAMES:
        path = root / folder
        if path.is_symlink():
            collected.kept.append((path, "a link; links are not followed"))
            continue
        for key, item in _ours(path, collected):
            _delete_unless_used(root, key, item, collected)
    datasets = root / "datasets"
    if datasets.is_symlink():
        collected.kept.append((datasets, "a link; links are not followed"))
    else:
        for item in pixel_cache.leftovers(datasets):
            _delete(item, collected)
    return collected


def _ours(folder: Path, collected: Collected) -> Iterator[tuple[str, Path]]:
    """Yield the items of a folder that have our names, each with its key."""
    try:
        items = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        collected.kept.append((folder, error.strerror or str(error)))
        return
    for item in items:
        match = _NAMES[folder.name].fullmatch(item.name)
        if match:
            yield match.group(1), item


def _delete_unless_used(root: Path, key: str, item: Path, collected: Collected) -> None:
    """Delete one item under the lock of its key; note what cannot be deleted."""
    lock = root / "locks" / f"{key}.lock"
    try:
        with FileLock(lock, timeout=0):
            if _is_needed(root, key, item):
                return
            if item == lock:
                lock.unlink()  # not reported: each key has one
            elif _delete(item, collected):
                lock.unlink(missing_ok=True)  # a process that waits for it checks that it still exists
    except (Timeout, FileNotFoundError):
        return
    except OSError as error:
        collected.kept.append((item, error.strerror or str(error)))


def _delete(item: Path, collected: Collected) -> bool:
    """Delete a file, a folder, or a link itself; note what became of it. Return whether it is gone."""
    try:
        size_bytes = size_bytes_of(item)
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()
    except FileNotFoundError:
        return True
    except OSError as error:
        collected.kept.append((item, error.strerror or str(error)))
        return False
    collected.deleted.append((item, size_bytes))
    return True


def _is_needed(root: Path, key: str, item: Path) -> bool:
    if item.parent.name == "unfinished" and item.suffix == ".safetensors":
        return not (root / key).exists()  # may be resumed
    if item.parent.name == "attempts":  # those of a backend belong to a checkpoint that is there
        return not is_left_over(item, made=item.name.startswith(f"{key}.") and (root / key).exists())
    return False

"""Files of a store: read only if they are regular and of a sane size; failed writes said in one line.

A link, a pipe or a device is never opened as a file: it could hang, or have no end. What the files hold:
`store/README.md`.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pruning_core.errors import DamagedCheckpointError, StoreError, first_line

MAX_TEXT_BYTES = 64 * 2**20
"""Specs, plans and metrics are far smaller; a larger file was not written by this program."""

MAX_WEIGHTS_BYTES = 256 * 2**30

# Errors of opening or reading that mean: this is not the file we wrote. All others (too many open files, a
# disk that does not respond, a permission) say nothing about its content.
_WRONG_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


@contextmanager
def open_regular(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Open a regular file of a bounded size for reading.

    Raises:
        DamagedCheckpointError: If it is missing, too large, or not a regular file.
        StoreError: If it cannot be read just now, which says nothing about its content.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DamagedCheckpointError(f"{path.name} is not a regular file")
            if status.st_size > max_bytes:
                raise DamagedCheckpointError(
                    f"{path.name} has {status.st_size:,} bytes, more than this program writes"
                )
            yield file
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise DamagedCheckpointError(f"a file is missing ({path.name})") from None
        if error.errno in _WRONG_FILE:
            raise DamagedCheckpointError(f"{path.name} is not a regular file") from None
        raise StoreError(
            f"cannot read {path}: {error.strerror or error}. Nothing was changed; try again later"
        ) from error


def read_regular(path: Path) -> bytes:
    """Read a small file whole (see `open_regular`)."""
    with open_regular(path, MAX_TEXT_BYTES) as file:
        return file.read(MAX_TEXT_BYTES)


def hash_regular(path: Path) -> str:
    """Return the SHA-256 of a file of weights, or of text, in hexadecimal digits (see `open_regular`)."""
    with open_regular(path, MAX_WEIGHTS_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # lacks BinaryIO


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        DamagedCheckpointError: If it is not one, or is nested too deep.
    """
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpointError(f"a file cannot be read ({name}: {first_line(error)})") from None
    if not isinstance(parsed, dict):
        raise DamagedCheckpointError(f"a file cannot be read ({name} holds no object)")
    return parsed


def size_bytes_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    found = 0
    for folder, _, names in os.walk(path, followlinks=False):
        found += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return found


@contextmanager
def write_errors(root: Path) -> Iterator[None]:
    """Turn a failed write into a store into a `StoreError` of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"no space left for the store {root}; nothing was half-written. "
                "Free some, or name another with --store."
            ) from error
        raise StoreError(f"cannot write the store {root}: {error.strerror or error}") from error


def to_json(content: Any) -> bytes:
    """Return the content of a file as this program writes it."""
    return (json.dumps(content, indent=1) + "\n").encode()

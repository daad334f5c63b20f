"""Write a file whole or not at all: for people (`write_pieces`), or synced, for a store (`replace_synced`).

A reader sees the old content or the new one, also where the writer was killed. Light: the report
and the gate import it.
"""

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pruning_core.errors import OptionError


def check_writable(path: Path, *others: Path | None) -> None:
    """Find out before long work whether a file can be written after it.

    Args:
        path: Of that file.
        *others: Files that are read, or written too: it must be none of them.

    Raises:
        OptionError: If its folder is not there or may not be written to, it is one of the others, holds a
            benchmark run, or is part of a checkpoint.
    """
    named, path = path, _target_of(path)
    if path.is_file() or not path.exists():  # all may go to one terminal or pipe
        for other in others:
            if other is not None and os.path.realpath(path) == os.path.realpath(other):
                raise OptionError(f"{named} is read, or written to already: name another file to write to")
    if _is_stored(path):
        raise OptionError(
            f"{named} holds a run, or is part of a checkpoint; it is not overwritten. Name another file"
        )
    if not path.parent.is_dir():
        raise OptionError(f"cannot write {path}: there is no folder {path.parent}. Make it first")
    # A file is replaced, which is written to its folder; what is no file, such as a pipe, is not.
    touched = [path] * path.exists() + [path.parent] * (not _is_stream(path))
    if path.is_dir() or not all(os.access(each, os.W_OK) for each in touched):
        raise OptionError(f"cannot write {named}: not a file that may be written")


_STREAMS = ("/dev/fd/", "/dev/stdout", "/dev/stderr", "/proc/self/fd/")
"""Names of what this process has opened already, a file perhaps."""

_BEGINNING_OF_A_RUN = re.compile(rb'\s*\{\s*"(machine_info|commit_info|benchmarks)"')
_OF_A_CHECKPOINT = ("spec.json", "plan.json", "metrics.json", "weights.safetensors")


def _is_stream(path: Path) -> bool:
    """Return whether a path is written to as it is, since there is nothing to replace."""
    return str(path).startswith(_STREAMS) or (path.exists() and not path.is_file())


def _target_of(path: Path) -> Path:
    """Return the file that a link leads to, or would; any other path as it is."""
    with suppress(OSError, RuntimeError):  # a circle of links
        if path.is_symlink() and not _is_stream(path):
            return path.resolve()
    return path


def _is_stored(path: Path) -> bool:
    """Return whether a file begins as what pytest-benchmark writes, or lies in a checkpoint's folder."""
    with suppress(OSError):
        if path.is_file() and not _is_stream(path):
            if path.name in _OF_A_CHECKPOINT:
                return all((path.parent / name).is_file() for name in _OF_A_CHECKPOINT)
            with path.open("rb") as file:
                return _BEGINNING_OF_A_RUN.match(file.read(200)) is not None
    return False


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_synced(path: Path, draft: Path, content: bytes) -> None:
    """Replace a file by `content` in one step, once the disk has it.

    Args:
        path: What is replaced; it need not be there.
        draft: Written first, in the same folder; a leftover of a killed process is known by this name.
        content: All of it.

    Raises:
        OSError: If it cannot be written; `path` stays as it was, and no draft is left.
    """
    try:
        write_synced(draft, content)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def sync_to_disk(path: Path) -> None:
    """Wait until the disk has a file, or what was made or renamed in a folder."""
    if os.name == "nt":
        return  # neither a folder nor a file opened to be read can be synchronised there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_file(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 (see `write_pieces`)."""
    write_pieces(path, [text.encode("utf-8")])


def write_bytes_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` (see `write_pieces`)."""
    write_pieces(path, [content])


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write pieces to `path` one after the other; an existing file is replaced at the end, in one step.

    A link stays, and what it leads to is replaced.

    Raises:
        OptionError: If the folder is not there, or the file cannot be written.
    """
    path = _target_of(path)
    try:
        if not path.parent.is_dir():
            raise OptionError(f"cannot write {path}: there is no folder {path.parent}. Make it first")
        if _is_stream(path):  # which cannot be replaced; a file behind it keeps what it has
            with path.open("ab") as file:
                file.writelines(pieces)
            return
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(pieces)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(draft, 0o666 & ~mask)  # a draft is made for its owner only; a report is not a secret
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None

"""One process at a time replaces a file that is read first, so that nobody's change is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pruning_core.errors import OptionError

MAX_WAIT_S = 120
"""For another process, which takes as long as to read and write some files."""


@contextmanager
def one_at_a_time(path: Path, what: str) -> Iterator[None]:
    """Keep other processes waiting; `.NAME.lock` beside the file, which stays, is held meanwhile.

    Args:
        path: Of the file; a link counts as what it leads to.
        what: Is being done, as `writing rows.json`.

    Raises:
        OptionError: If its folder is not there or cannot be written, or another process holds it too long.
    """
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise OptionError(f"cannot write {path}: there is no folder {path.parent}. Make it first")
    lock = FileLock(real.with_name(f".{real.name}.lock"))
    try:
        lock.acquire(timeout=MAX_WAIT_S)
    except Timeout:
        raise OptionError(f"another process has been {what} for {MAX_WAIT_S} s: end it, or wait") from None
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()

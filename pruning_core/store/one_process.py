"""One process at a time looks for an answer that all of them will read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def one_process(root: Path, name: str, notify: Callable[[str], None], waits: str) -> Iterator[None]:
    """Let one process at a time run what is within; in a store that cannot be written, all.

    Args:
        root: The store's folder.
        name: Of the lock: what is looked for.
        notify: Takes a line where another process has it.
        waits: That line.
    """
    lock = FileLock(root / "locks" / f"{name}.lock")
    held = False
    with suppress(OSError):  # a store that cannot be written: then nothing is kept either
        try:
            lock.acquire(timeout=0)
        except Timeout:
            notify(waits)
            lock.acquire()
        held = True
    try:
        yield
    finally:
        if held:
            lock.release()

"""End Python code that does not end by itself: an exception is raised in its thread."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTimeError(Exception):
    """The code of a `time_limit` took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` in this thread at the next line of Python after so many seconds.

    What ran may be left half done: work on a copy. Native code is not interrupted, only what follows it.

    Args:
        seconds: How long the code may take.

    Raises:
        OutOfTimeError: If it took longer.
    """
    thread = threading.get_ident()
    ended = threading.Event()
    lock = threading.Lock()

    def watch() -> None:
        if not ended.wait(seconds):
            with lock:
                if not ended.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(OutOfTimeError)
                    )

    threading.Thread(target=watch, daemon=True, name="time limit").start()
    try:
        yield
    finally:
        with lock:
            ended.set()

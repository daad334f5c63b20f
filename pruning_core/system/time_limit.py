"""End Python code that does not end by itself: an exception is raised in its thread."""

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BY_THE_CLOCK = 20
"""Code that waits takes no CPU time; so many times its limit by the clock ends it too."""


class OutOfTimeError(Exception):
    """The code of a `time_limit` took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` in this thread, at its next line of Python after so many seconds of CPU time.

    A busy machine thus ends nothing that a quiet one would not. What ran may be left half done: work on a
    copy. Native code is not interrupted, only what follows it.

    Args:
        seconds: How long the code may take; `BY_THE_CLOCK` times as long where it waits.

    Raises:
        OutOfTimeError: If it took longer.
    """
    thread = threading.get_ident()
    ended = threading.Event()
    lock = threading.Lock()
    used = _cpu_clock(thread)
    begun, last = used(), time.monotonic() + BY_THE_CLOCK * seconds

    def watch() -> None:
        left = seconds
        while left > 0:
            if ended.wait(max(min(left, last - time.monotonic()), 0.001)):
                return
            left = seconds - (used() - begun) if time.monotonic() < last else 0.0
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


def _cpu_clock(thread: int) -> Callable[[], float]:
    """Return what tells the CPU seconds of a thread that lives; where none can be told apart, of all."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(thread)

    def seconds() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # it has ended, and with it what was limited
            return 0.0

    return seconds

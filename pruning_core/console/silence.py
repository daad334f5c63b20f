"""Long silence ends: when a step hangs, one line says what is being waited for, and for how long.

A thread of its own looks at the clock, so that it speaks while the step sits in native code, which lets other
threads run meanwhile.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

FIRST_LINE_S = 30.0
"""Silence of a step before it is reported …"""

NEXT_LINES_S = 60.0
"""… and before it is reported again."""

_POLL_INTERVAL_S = 1.0


class SilenceWatch:
    """Calls `tell` with the seconds of silence when nothing has moved on for long.

    A context; `move_on` says within it that something did.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        """Prepare to watch; `tell` is called from another thread."""
        self._tell = tell
        self._since = time.monotonic()
        self._due_s = FIRST_LINE_S
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="silence", daemon=True)

    def move_on(self) -> None:
        """Begin a new silence."""
        self._since = time.monotonic()
        self._due_s = FIRST_LINE_S

    def __enter__(self) -> Self:
        self.move_on()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(min(_POLL_INTERVAL_S, FIRST_LINE_S)):
            silent_s = time.monotonic() - self._since
            if silent_s >= self._due_s:
                self._due_s = silent_s + NEXT_LINES_S
                self._tell(silent_s)

"""Progress of long work: what is done, how far it is, how long it will take.

On a terminal a live bar; elsewhere (a CI log, a file) a plain line every ten seconds at most.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int, int], None]
"""Takes steps done and steps in all."""

_LINE_EVERY_S = 10.0
_DRAW_EVERY_S = 2.0
"""A quiet bar is drawn this often at most: a millisecond in two seconds."""


class ProgressDisplay:
    """Shows one piece of long work at a time, and single lines in between."""

    def __init__(
        self,
        stream: TextIO | None = None,
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Show on a stream.

        Args:
            stream: Standard error by default.
            uncaptured: Entered whenever something is shown; pytest's way to let it through.
        """
        self._stream = stream
        self._uncaptured = uncaptured

    def say(self, line: str) -> None:
        """Show one line that stays."""
        with self._uncaptured():
            print(line, file=self._stream or sys.stderr, flush=True)

    @contextmanager
    def work(self, what: str, quiet: bool = False) -> Iterator[Advance]:
        """Show `what` while the block runs; call what it gives after each step.

        Args:
            what: The work in words.
            quiet: Nothing is drawn but in these calls, and seldom: for work that is being timed.
        """
        started = time.perf_counter()
        with self._uncaptured():
            stream = self._stream or sys.stderr  # looked up here: while captured it is another one
            if stream.isatty():
                with self._bar(what, stream, quiet) as advance:
                    yield advance
            else:
                yield self._lines(what, stream)
            print(f"{what}: done in {time.perf_counter() - started:.1f} s", file=stream, flush=True)

    @contextmanager
    def _bar(self, what: str, stream: TextIO, quiet: bool) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        # A bar that redraws itself does so ten times a second, from a thread of its own.
        with Progress(*columns, console=Console(file=stream), transient=True, auto_refresh=not quiet) as bar:
            task = bar.add_task(what, total=None)
            drawn = 0.0

            def advance(done: int, total: int) -> None:
                nonlocal drawn
                bar.update(task, completed=done, total=total)
                if quiet and (now := time.perf_counter()) - drawn >= _DRAW_EVERY_S:
                    drawn = now
                    bar.refresh()

            yield advance

    def _lines(self, what: str, stream: TextIO) -> Advance:
        started = last = time.perf_counter()
        first_done: int | None = None  # a resumed training does not begin at 0

        def advance(done: int, total: int) -> None:
            nonlocal last, first_done, started
            now = time.perf_counter()
            if first_done is None:
                first_done, started = done, now  # what came before it, such as a warm-up, comes once
            elif now - last >= _LINE_EVERY_S and first_done < done < total:
                last = now
                left_s = (now - started) / (done - first_done) * (total - done)
                print(
                    f"{what}: {done}/{total} ({done / total:.0%}), {left_s:.0f} s left",
                    file=stream,
                    flush=True,
                )

        return advance

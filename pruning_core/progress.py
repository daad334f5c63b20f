"""Progress of long work: what is done, how far it is, how long it will take.

On a terminal a live bar; elsewhere (a CI log, a file) a plain line every ten seconds at most. A step that
does not end is reported (`console/silence.py`); while a suite times something it is not.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
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

from pruning_core.console.escaping import for_terminal, printable
from pruning_core.console.silence import SilenceWatch

Advance = Callable[[int, int], None]
"""Takes steps done and steps in all."""

OnSilence = Callable[[str], None]
"""Takes what is being waited for, in words; called from another thread."""

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
            print(for_terminal(line), file=self._stream or sys.stderr, flush=True)

    @contextmanager
    def work(
        self,
        what: str,
        quiet: bool = False,
        on_silence: OnSilence = lambda _: None,
        watched: bool | None = None,
    ) -> Iterator[Advance]:
        """Show `what` while the block runs; call what it gives after each step.

        Args:
            what: The work in words.
            quiet: Nothing is drawn but in these calls, and seldom: for work that is being timed.
            on_silence: Called with what is being waited for when a step does not end.
            watched: Whether such a step is reported; None: not if `quiet`. A line every minute at most.
        """
        started, what = time.perf_counter(), printable(what)
        watched = not quiet if watched is None else watched
        with self._uncaptured():
            stream = self._stream or sys.stderr  # looked up here: while captured it is another one
            if stream.isatty():
                with self._bar(what, stream, quiet) as (advance, show):
                    yield from self._advances(what, advance, show, watched, on_silence)
            else:
                show = partial(print, file=stream, flush=True)
                yield from self._advances(what, self._lines(what, stream), show, watched, on_silence)
            print(f"{what}: done in {time.perf_counter() - started:.1f} s", file=stream, flush=True)

    @contextmanager
    def phases(self, of_what: str) -> Iterator[Callable[[str, int, int], None]]:
        """Show work that has several phases, in each of which something may be timed.

        Args:
            of_what: Stands before the name of each; empty: nothing does.

        Yields:
            A function of a phase's name, steps done and steps in all: another name begins another phase.
        """
        now, advance = "", None

        def show(phase: str, done: int, total: int) -> None:
            nonlocal now, advance
            if phase != now or advance is None:
                stack.close()
                name = f"{of_what}: {phase}" if of_what else phase
                now = phase
                advance = stack.enter_context(self.work(name, quiet=True, watched=True))
            advance(done, total)

        with ExitStack() as stack:
            yield show

    @contextmanager
    def waiting_for(self, what: str, on_silence: OnSilence = lambda _: None) -> Iterator[None]:
        """Show nothing while the block runs, unless it takes long: an export, a compilation, an evaluation.

        Args:
            what: The work in words.
            on_silence: Called with these words when it takes long.
        """

        def tell(silent_s: float) -> None:
            on_silence(what)
            show(f"{printable(what)}: not done yet, waiting for {silent_s:.0f} s")

        with self._uncaptured():
            show = partial(print, file=self._stream or sys.stderr, flush=True)
            with SilenceWatch(tell):
                yield

    def _advances(
        self, what: str, advance: Advance, show: Callable[[str], None], watched: bool, on_silence: OnSilence
    ) -> Iterator[Advance]:
        """Yield `advance`; if `watched`, report when it is not called for long."""
        if not watched:
            yield advance
            return
        step = "its first step"

        def tell(silent_s: float) -> None:
            on_silence(f"{what}, {step}")
            show(f"{what}: no step ended for {silent_s:.0f} s, waiting for {step}")

        with SilenceWatch(tell) as watch:

            def advance_and_note(done: int, total: int) -> None:
                nonlocal step
                step = f"step {done + 1} of {total}" if done < total else "what follows the last step"
                watch.move_on()
                advance(done, total)

            yield advance_and_note

    @contextmanager
    def _bar(self, what: str, stream: TextIO, quiet: bool) -> Iterator[tuple[Advance, Callable[[str], None]]]:
        columns = (
            TextColumn("{task.description}", markup=False),
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

            yield advance, partial(bar.console.print, markup=False, highlight=False, soft_wrap=True)

    def _lines(self, what: str, stream: TextIO) -> Advance:
        started = last = time.perf_counter()
        first_done: int | None = None  # a resumed training does not begin at 0

        def advance(done: int, total: int) -> None:
            nonlocal last, first_done, started
            now = time.perf_counter()
            if first_done is None:
                first_done, started = done, now  # what happened before it, such as a warm-up, happens once
            elif now - last >= _LINE_EVERY_S and first_done < done < total:
                last = now
                left_s = (now - started) / (done - first_done) * (total - done)
                print(
                    f"{what}: {done}/{total} ({done / total:.0%}), {left_s:.0f} s left",
                    file=stream,
                    flush=True,
                )

        return advance

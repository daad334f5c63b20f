"""What a signal does: one line that says what is kept, what was begun is undone, exit code 128 + signal.

    signal  →  the line; standard error is closed; a second signal ends at once
            →  `Interrupted` runs through the program, which deletes what is half-written
            →  `end_if_interrupted`: exit code 130 (SIGINT), 143 (SIGTERM), 129 (SIGHUP)

A thread sees to what the interpreter cannot do: end a program that is in native code, or whose libraries
swallow the exception. Imported before all else, so it must stay light.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

RESUMES = "the same command goes on where this one stopped"
UNDONE = "nothing is half-written, run the same command again"

Handler = Callable[[int, FrameType | None], object] | signal.Handlers

_GRACE_S = 5.0
"""Time that a program has to undo what it has begun."""


_LATER_S = 0.1
"""Delay after which a session that is importing is asked again."""


class Interrupted(KeyboardInterrupt):
    """A signal asks this process to end."""


class _State:
    """What this process knows of signals; there is one process."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.kept = RESUMES
        self.of_session = False  # whether pytest runs in this process
        self.finishing = False
        self.handling = False
        self.said = False
        self.saying = threading.RLock()


_state = _State()


def handle_signals(before: Handler = signal.SIG_DFL) -> None:
    """From now on a signal ends the command line in one line; one that is ignored, as by nohup, stays so.

    Args:
        before: What handled signals until now, beside Python itself.
    """
    _set_handlers((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), before)
    sys.unraisablehook = _unraisable


def watch_signals() -> None:
    """From now on a second signal ends even native code; the first one does if undoing takes too long."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_forget_signals)
    threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()


def handle_session_signals() -> None:
    """From now on SIGTERM and SIGHUP raise `Interrupted` in a session of pytest; SIGINT is pytest's own."""
    if _set_handlers((signal.SIGTERM, signal.SIGHUP)):
        _state.of_session = True


def let_session_finish() -> None:
    """From now on a signal waits until what was measured is saved; a second one does not."""
    _state.finishing = _state.of_session


def forget_session() -> None:
    """Restore signals to what they were before `handle_session_signals`."""
    if _state.of_session:
        restore_default_actions()
        _state.of_session, _state.finishing, _state.received = False, False, None


def received_signal() -> int | None:
    """Return the number of the signal that has asked this process to end, or None."""
    return _state.received


def say_kept(text: str) -> None:
    """Set what a signal's line says of the command that is running: `RESUMES` or `UNDONE`."""
    _state.kept = text


def interruption_line(number: int) -> str:
    """Return a line on which signal ended a command, and what is kept."""
    return f"interrupted by {signal.Signals(number).name}; {_state.kept}"


def end_if_interrupted() -> None:
    """End this process if a signal has asked for it, whatever libraries have made of its exception."""
    if _state.received is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    _exit(_state.received)


def restore_default_actions() -> None:
    """Let a signal end this process without a word: nothing is left to be said while it ends anyway."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)


def _set_handlers(numbers: tuple[signal.Signals, ...], before: Handler = signal.SIG_DFL) -> bool:
    if threading.current_thread() is not threading.main_thread():  # as in a worker of xdist
        return False
    for number in numbers:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, before):
            signal.signal(number, _on_signal)
    return True


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _state.handling:  # it comes while the handler runs: what that one has begun to say is said first
        return
    _state.handling = True
    try:
        _handle(number, frame)
    finally:
        _state.handling = False


def _handle(number: int, frame: FrameType | None) -> None:
    if _state.received is not None:
        _exit(_state.received)
    if _is_importing(frame):
        if not _state.of_session:
            _exit(number)
        _call_later(_LATER_S, lambda: os.kill(os.getpid(), number))
        return
    _state.received = number
    if _state.finishing:
        restore_default_actions()
        return
    if not _state.of_session:  # pytest says it in its own way
        _say(number)
    raise Interrupted(interruption_line(number))


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported: many libraries abort on an exception meanwhile."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _say(number: int) -> None:
    """Write the line, once; after it standard error leads nowhere, so that nothing follows."""
    # The handler and the thread may run at once; the first may wait for ever for whoever reads the line.
    if not _state.saying.acquire(timeout=1.0):
        return
    try:
        if _state.said:
            return
        _state.said = True
        with contextlib.suppress(OSError):
            # A progress bar may stand in this line, with the cursor hidden.
            clear = "\r\x1b[2K\x1b[?25h" if os.isatty(2) else ""
            os.write(2, f"{clear}{interruption_line(number)}\n".encode())
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    finally:
        _state.saying.release()


def _exit(number: int) -> None:
    _say(number)
    os._exit(128 + number)


def _unraisable(problem: "sys.UnraisableHookArgs") -> None:
    """Where no exception can be raised, as while an object is deleted, end at once."""
    if problem.exc_type is not None and issubclass(problem.exc_type, Interrupted):
        _exit(_state.received or signal.SIGINT)
    sys.__unraisablehook__(problem)


def _watch(reader: int) -> None:
    number = _read_signal(reader)
    _call_later(_GRACE_S, lambda: _exit(number))
    _read_signal(reader)
    _exit(number)


def _call_later(after_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(after_s, call)
    timer.daemon = True
    timer.start()


def _read_signal(reader: int) -> int:
    ending = {int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP)}
    while (number := os.read(reader, 1)[0]) not in ending:
        pass
    return number


def _forget_signals() -> None:
    """A child of this process, such as a loader of data, has signals of its own."""
    signal.set_wakeup_fd(-1)
    restore_default_actions()

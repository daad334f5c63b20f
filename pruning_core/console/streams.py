"""Standard output and standard error that never raise: a lost reader or a full disk costs no work.

What cannot be written is dropped, and the first reason kept for the end (`lost_output`). Signs that an
encoding has not become plain ones.
"""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WIDTH = 100
"""Columns where there is neither a terminal to ask nor `COLUMNS`."""

_PLAIN = {
    "–": "-",
    "−": "-",
    "─": "-",
    "×": "x",
    "÷": "/",
    "±": "+-",
    "µ": "u",
    "·": "|",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "²": "^2",
    "✓": "+",
    "✗": "x",
    "†": "+",
}
"""Our own signs → what stands for them where the encoding has not got them."""

_ERRORS = "pruning_core.plain_signs"


class _PatientFile(io.FileIO):
    """A file descriptor that takes everything; of what it could not write it keeps the first reason."""

    def __init__(self, descriptor: int, closed: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.reason: OSError | None = None
        self._closed = closed

    def write(self, content: "ReadableBuffer", /) -> int:
        size = memoryview(content).nbytes
        if self._closed and size:
            self.reason = OSError(errno.EBADF, "it is closed")
        if self.reason is not None:
            return size
        try:
            while (written := super().write(content)) is None:  # one that does not wait, and is not ready
                select.select([], [self.fileno()], [])
        except OSError as error:
            self.reason = error
            return size
        return written


_guarded: dict[str, _PatientFile] = {}


def guard_streams() -> None:
    """Replace standard output and error of this process; those that are closed lead nowhere.

    Streams that somebody else has replaced, such as a test, are left alone.
    """
    codecs.register_error(_ERRORS, _plain_signs)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file that is opened would be standard output
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        if name in _guarded or stream is not getattr(sys, f"__{name}__"):
            continue
        file = _guarded[name] = _PatientFile(descriptor, closed=stream is None)
        guarded = io.TextIOWrapper(
            io.BufferedWriter(file),
            encoding=getattr(stream, "encoding", "utf-8"),
            errors=_ERRORS,
            line_buffering=name == "stderr" or file.isatty() or getattr(stream, "write_through", False),
        )
        setattr(sys, name, guarded)


def lost_output() -> OSError | None:
    """Return why something written to standard output got lost, or None."""
    if "stdout" not in _guarded:
        return None
    sys.stdout.flush()
    return _guarded["stdout"].reason


def print_pieces(pieces: Iterable[str]) -> None:
    """Write text for people to standard output, in its encoding, as long as somebody reads."""
    for piece in pieces:
        sys.stdout.write(piece)
        if _is_lost():
            return


def print_content(pieces: Iterable[str], at_once: bool = False) -> None:
    """Write what a program reads to standard output: as UTF-8, whatever a terminal's encoding is.

    Args:
        pieces: One after the other.
        at_once: Whether each shall arrive before the next one is made.
    """
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        print_pieces(pieces)
        return
    sys.stdout.flush()
    for piece in pieces:
        binary.write(piece.encode("utf-8"))
        if at_once:
            binary.flush()
        if _is_lost():
            return
    binary.flush()


def find_width(stream: TextIO) -> int:
    """Return how wide text for a stream is to be: as `COLUMNS` says, as its terminal is, else `WIDTH`."""
    told = os.environ.get("COLUMNS", "").strip()
    if told.isascii() and told.isdigit() and int(told[:6]) > 0:
        return int(told[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):  # not a terminal, or nothing that the system knows
        return WIDTH


def _is_lost() -> bool:
    return "stdout" in _guarded and _guarded["stdout"].reason is not None


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    plain = (_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lost)
    return "".join(plain), error.end

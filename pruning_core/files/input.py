"""Read a file that somebody gave, as bytes or JSON: time and memory are bounded, whatever it holds."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from pruning_core.console.shown import shortened

MAX_JSON_MEMORY_BYTES = 600_000_000

_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Where a shell puts what it reads from another program, as in `gate <(unzip -p runs.zip) new.json`."""


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a whole file.

    Args:
        path: A file, or a pipe that the shell has opened. A named pipe, a device or a socket is refused: to
            read it might never end.
        max_bytes: How large it may be.

    Raises:
        OSError: If it is not there, cannot be read, is no file, or is larger.
    """
    piped = str(path).startswith(_PIPES)
    # Without O_NONBLOCK, to open a named pipe that nobody writes to would never return.
    descriptor = os.open(path, os.O_RDONLY if piped else os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError("it is a folder")
        if not (stat.S_ISREG(mode) or (piped and stat.S_ISFIFO(mode))):
            raise OSError("it is no regular file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(f"it is larger than {max_bytes / 1e6:g} MB")
    return data


def decode_json(data: bytes, finite: bool = False) -> Any:
    """Decode JSON as Python writes it, NaN and infinity among it.

    Args:
        data: All of it becomes objects, so they may not be too many.
        finite: Refuse NaN and infinity.

    Raises:
        ValueError: If it is no JSON, is nested too deep, or would need more than `MAX_JSON_MEMORY_BYTES`.
    """
    # Bytes of an object, a list, a number with its place; of a character, if one is no ASCII.
    needed = 300 * data.count(b"{") + 64 * data.count(b"[") + 60 * data.count(b",")
    needed += len(data) * (1 if data.isascii() else 4)
    if needed > MAX_JSON_MEMORY_BYTES:
        raise ValueError(f"to read it would take {needed / 1e9:.1f} GB of memory")
    try:
        read = _finite if finite else float
        return json.loads(data, parse_constant=read, parse_float=read)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shortened(text, 30)} is not finite")
    return number


def why_unreadable(error: Exception) -> str:
    """Return the reason of an error that `read_bytes` raised, in words, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shortened(str(error), 200)

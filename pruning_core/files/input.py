"""Read a file that somebody gave: as bytes, JSON or TOML. Time and memory are bounded, whatever it holds."""

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from pruning_core.console.shown import shortened
from pruning_core.errors import OptionError

MOST_TOML_BYTES = 200_000
MOST_TOML_DEPTH = 20
MOST_TOML_PARTS = 50

MOST_JSON_MEMORY_BYTES = 600_000_000

_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Where a shell puts what it reads from another program, as in `gate <(unzip -p runs.zip) new.json`."""


def read_bytes(path: Path, most: int) -> bytes:
    """Read a whole file.

    Args:
        path: A file, or a pipe that the shell has opened. A named pipe, a device or a socket is refused: to
            read it might never end.
        most: Bytes that it may have.

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
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"it is larger than {most / 1e6:g} MB")
    return data


def decode_json(data: bytes) -> Any:
    """Decode JSON as Python writes it, NaN and infinity among it.

    Args:
        data: All of it becomes objects, so they may not be too many.

    Raises:
        ValueError: If it is no JSON, is nested too deep, or would need more than `MOST_JSON_MEMORY_BYTES`.
    """
    # Bytes of an object, a list, a number with its place; of a character, if one is no ASCII.
    needed = 300 * data.count(b"{") + 64 * data.count(b"[") + 60 * data.count(b",")
    needed += len(data) * (1 if data.isascii() else 4)
    if needed > MOST_JSON_MEMORY_BYTES:
        raise ValueError(f"to read it would take {needed / 1e9:.1f} GB of memory")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_toml(path: Path, what: str) -> tuple[dict[str, Any], str]:
    """Read a TOML file.

    Args:
        path: Of at most `MOST_TOML_BYTES`, nested `MOST_TOML_DEPTH` deep at most.
        what: What it is, for messages: "grid file", for example.

    Returns:
        What it says, and its text.

    Raises:
        OptionError: If it cannot be read, is too large or too deep, or is not valid TOML.
    """
    try:
        text = read_bytes(path, MOST_TOML_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the path
        raise OptionError(
            f"cannot read {what} {shortened(str(path), 300)}: {why_unreadable(error)}"
        ) from None
    # A name of n parts, a.b.c…, takes the time of n².
    if any(piece.count(".") > MOST_TOML_PARTS for piece in re.split(r"[\n\r,=#]", text)):
        raise OptionError(f"{what} {path}: a name or text of more than {MOST_TOML_PARTS} parts between dots")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise OptionError(
            f"{what} {path} is not valid TOML that makes sense: it is nested too deep"
        ) from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise OptionError(f"{what} {path} is not valid TOML: {shortened(str(error), 200)}") from None
    if _is_deeper(content, MOST_TOML_DEPTH):
        raise OptionError(f"{what} {path}: nested more than {MOST_TOML_DEPTH} deep")
    return content, text


def why_unreadable(error: Exception) -> str:
    """Return the reason of an error that `read_bytes` raised, in words, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shortened(str(error), 200)


def _is_deeper(value: object, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(items) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in items))

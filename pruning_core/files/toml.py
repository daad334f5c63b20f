"""Read a TOML file that somebody wrote: what it says, and on which line, for the message about a mistake."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pruning_core.console.shown import shortened
from pruning_core.errors import OptionError
from pruning_core.files.input import read_bytes, why_unreadable

MAX_BYTES = 200_000
MAX_DEPTH = 20
MAX_NAME_PARTS = 50

_NAME = r"[\"']?([\w-]+(?:\s*\.\s*[\w-]+)*)[\"']?"
_TABLE = re.compile(rf"\s*(\[\[?)\s*{_NAME}\s*\]")
_KEY = re.compile(rf"\s*{_NAME}\s*=")

Location = tuple[str | int, ...]
"""Keys from the top, and the number, from 0, of a table in an array: ("cells", 1, "slowdown")."""


@dataclass(frozen=True)
class TomlFile:
    """What a TOML file says, and where."""

    path: Path
    what: str  # what it is, for messages: "grid file", for example
    content: Mapping[str, Any]
    text: str

    def line_of(self, *location: str | int) -> int | None:
        """Return the line, from 1, of a key; of the table or array around it where its own is not known."""
        for length in range(len(location), 0, -1):
            if (line := self._lines.get(location[:length])) is not None:
                return line
        return None

    def where(self, *location: str | int) -> str:
        """Return `   (in grid FILE, line N)`, to end a message with."""
        line = self.line_of(*location)
        return f"   (in {self.what.removesuffix(' file')} {self.path}{f', line {line}' if line else ''})"

    @cached_property
    def _lines(self) -> dict[Location, int]:
        lines: dict[Location, int] = {}
        table: Location = ()
        counts: dict[Location, int] = {}
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := _TABLE.match(line):
                table = _parts(header.group(2))
                lines.setdefault(table, number)
                if header.group(1) == "[[":
                    index = counts[table] = counts.get(table, -1) + 1
                    table = (*table, index)
                    lines[table] = number
            elif key := _KEY.match(line):
                lines.setdefault((*table, *_parts(key.group(1))), number)
        return lines


def read_toml(path: Path, what: str) -> TomlFile:
    """Read a TOML file.

    Args:
        path: Of at most `MAX_BYTES`, nested at most `MAX_DEPTH` deep.
        what: What it is, for messages: "grid file", for example.

    Raises:
        OptionError: If it cannot be read, is too large or too deep, or is not valid TOML.
    """
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the path
        raise OptionError(
            f"cannot read {what} {shortened(str(path), 300)}: {why_unreadable(error)}"
        ) from None
    # A name of n parts, a.b.c…, takes the time of n².
    if any(piece.count(".") > MAX_NAME_PARTS for piece in re.split(r"[\n\r,=#]", text)):
        raise OptionError(f"{what} {path}: a name or text of more than {MAX_NAME_PARTS} parts between dots")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise OptionError(f"{what} {path} is not valid TOML: it is nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise OptionError(f"{what} {path} is not valid TOML: {shortened(str(error), 200)}") from None
    if _is_deeper(content, MAX_DEPTH):
        raise OptionError(f"{what} {path}: nested more than {MAX_DEPTH} deep")
    return TomlFile(path, what, content, text)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split("."))


def _is_deeper(value: object, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(items) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in items))

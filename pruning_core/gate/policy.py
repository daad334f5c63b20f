"""The gate's policy: what is tolerated, for all cells and for cells of a pattern, and the reader of its file.

A policy file is TOML; every key may be left out:

    slowdown = 0.05                # of a cell's time relative to its reference's; found only beyond noise
    dense_slowdown = 0.15          # of the dense eager model's, relative to the machine's ceiling
    accuracy_drop = 0.01           # fraction of all test images
    min_accuracy = 0.0           # least accuracy
    inconclusive = "stop"          # exit code 3; in JUnit <skipped>, since nothing has failed
                                   # "fail": exit code 3 too, in JUnit <failure>; "report": listed, exit code
                                   # 0, in JUnit <skipped>; "pass": counted as pass
    familywise_error = 0.05             # chance of any false regression in a run
    confidence = 0.95              # of the bounds that let a cell pass
    control_tolerance = 0.05       # an A/A control that is clearly farther from 1 spoils the times
    on_other_machine = "cannot-compare"    # or "skip": judge the rest only

    [[cells]]                      # later entries win; `match` is compared with "suite/cell" and with "cell"
    match = "latency/*-int8-*"
    slowdown = 0.10
"""

import difflib
import re
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.input import read_toml

ON_INCONCLUSIVE = ("stop", "fail", "report", "pass")
CODE_3 = ("stop", "fail")
"""Those of them that make an inconclusive cell decide the exit code."""
ON_OTHER_MACHINE = ("cannot-compare", "skip")


@dataclass(frozen=True)
class Tolerances:
    """What is tolerated of one cell."""

    slowdown: float = 0.05
    dense_slowdown: float = 0.15
    accuracy_drop: float = 0.01
    min_accuracy: float = 0.0
    inconclusive: str = "stop"


@dataclass(frozen=True)
class Policy:
    """What is tolerated of a run; see the module's docstring for each field."""

    tolerances: Tolerances = Tolerances()
    familywise_error: float = 0.05
    confidence: float = 0.95
    control_tolerance: float = 0.05
    on_other_machine: str = "cannot-compare"
    overrides: tuple[tuple[str, dict[str, Any]], ...] = field(default=())

    def tolerances_of(self, suite: str, cell: str) -> Tolerances:
        """Return what is tolerated of one cell: the later of the patterns that match it wins."""
        changes: dict[str, Any] = {}
        for pattern, values in self.overrides:
            if fnmatchcase(f"{suite}/{cell}", pattern) or fnmatchcase(cell, pattern):
                changes |= values
        return replace(self.tolerances, **changes) if changes else self.tolerances

    def unmatched(self, cells: list[tuple[str, str]]) -> list[str]:
        """Return the patterns that match no cell: most likely a slip of the pen."""
        return [
            pattern
            for pattern, _ in self.overrides
            if not any(fnmatchcase(f"{s}/{c}", pattern) or fnmatchcase(c, pattern) for s, c in cells)
        ]


MOST_SECTIONS, LONGEST_PATTERN = 1000, 1000

# key → least and greatest number that is allowed, or the words that are
_ALLOWED: dict[str, tuple[float, float] | tuple[str, ...]] = {
    "slowdown": (0.0, 10.0),
    "dense_slowdown": (0.0, 10.0),
    "accuracy_drop": (0.0, 1.0),
    "min_accuracy": (0.0, 1.0),
    "inconclusive": ON_INCONCLUSIVE,
    "familywise_error": (1e-6, 0.5),
    "confidence": (0.5, 0.9999),
    "control_tolerance": (0.0, 1.0),
    "on_other_machine": ON_OTHER_MACHINE,
}
_OF_A_CELL = tuple(item.name for item in fields(Tolerances))


def read_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        OptionError: If the file cannot be read, is not valid TOML, or has an invalid value; the message
            names the key and its line.
    """
    content, text = read_toml(path, "policy file")
    places = _Places(path, text)
    sections = content.pop("cells", [])
    for key, value in content.items():
        _check(key, value, tuple(_ALLOWED), places.of(key, 0), more="cells")
    if not isinstance(sections, list) or not all(isinstance(item, dict) for item in sections):
        raise OptionError(f"cells must be written as [[cells]]; got {shown(sections)}{places.of('cells', 0)}")
    if len(sections) > MOST_SECTIONS:
        raise OptionError(f"at most {MOST_SECTIONS} [[cells]]; got {len(sections)}   (in policy {path})")
    overrides = []
    for number, section in enumerate(sections, start=1):
        pattern = section.pop("match", None)
        if not isinstance(pattern, str) or not 0 < len(pattern) <= LONGEST_PATTERN:
            raise OptionError(
                f'[[cells]] entry {number} needs match = "…", a pattern of cells such as "latency/*-int8-*", '
                f"of at most {LONGEST_PATTERN} characters{places.of('match', number)}"
            )
        for key, value in section.items():
            _check(key, value, _OF_A_CELL, places.of(key, number), more="match")
        overrides.append((pattern, section))
    general = {key: content.pop(key) for key in _OF_A_CELL if key in content}
    return Policy(Tolerances(**general), **content, overrides=tuple(overrides))


def _check(key: str, value: object, known: tuple[str, ...], place: str, more: str) -> None:
    if key not in known:
        close = difflib.get_close_matches(key[:60], [*known, more], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise OptionError(
            f"no key {shown(key)} here in a policy.{hint}\n  known: {', '.join([*known, more])}{place}"
        )
    allowed = _ALLOWED[key]
    if isinstance(allowed[0], str):
        if value not in allowed:
            raise OptionError(
                f"{key} must be one of {', '.join(map(str, allowed))}; got {shown(value)}{place}"
            )
        return
    low, high = allowed
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not float(low) <= value <= float(high)
    ):
        raise OptionError(f"{key} must be a number in [{low:g}, {high:g}]; got {shown(value)}{place}")


class _Places:
    """Where the keys of a policy file stand, for its error messages."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def of(self, key: str, section: int) -> str:
        """Return `   (in policy FILE, line N)`; `section` 0 is the head, n the n-th [[cells]]."""
        line = self._lines.get((key, section)) or self._lines.get(("", section))
        return f"   (in policy {self._path}{f', line {line}' if line else ''})"

    @cached_property
    def _lines(self) -> dict[tuple[str, int], int]:
        lines: dict[tuple[str, int], int] = {}
        section = 0
        for number, line in enumerate(self._text.splitlines(), start=1):
            if re.match(r"\s*\[\[\s*cells\s*\]\]", line):
                section += 1
                lines["", section] = number
            else:
                header = re.match(r"\s*\[\s*[\"']?([\w-]+)", line)
                found = header or re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)
                if found:
                    lines.setdefault((found.group(1), 0 if header else section), number)
        return lines

"""The file of a matrix: a JSON list, a row on each line, rewritten whole whenever a network is done.

So it can be read at any time, and the same command goes on where it was stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pruning_core.console.escaping import for_json
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.atomic import check_writable, write_text_file
from pruning_core.files.input import decode_json, read_bytes, why_unreadable
from pruning_core.files.locking import one_at_a_time
from pruning_core.pruning.matrix_worker import Row, Task

MAX_BYTES = 400_000_000

_Name = tuple[str, str]

_HEAD = {"model": str, "method": str, "ratio": float, "error": str}


class MatrixFile:
    """The rows that a file holds, by network and method."""

    def __init__(self, path: Path, tasks: Sequence[Task]) -> None:
        """Read a file, if it is there.

        Args:
            path: The file.
            tasks: What is asked; the file may hold rows of further networks, which stay.

        Raises:
            OptionError: If it cannot be read or written, holds something else, or answers another question.
        """
        self._path = path
        check_writable(path)
        asked = {task.name: task for task in tasks}
        self._rows: dict[_Name, list[Row]] = {}
        self._lines: dict[_Name, list[str]] = {}
        self._mine: set[_Name] = set()  # what this process made
        self._seen = _state_of(path)
        for name, rows in _rows_of(path).items():
            for row in rows:
                if (task := asked.get(name)) is not None:
                    _check_same_question(path, row, task)
            self._keep(name, rows)

    def _keep(self, name: _Name, rows: list[Row]) -> None:
        self._rows[name], self._lines[name] = rows, [for_json(row) for row in rows]

    def find(self, task: Task) -> list[Row] | None:
        """Return the rows of a task; None where some are missing or failed, so that it is tried again."""
        rows = {row["ratio"]: row for row in self._rows.get(task.name, []) if not row["error"]}
        complete = task.ratios and rows.keys() == set(task.ratios)
        return [rows[ratio] for ratio in task.ratios] if complete else None

    def put(self, task: Task, rows: list[Row]) -> None:
        """Write the rows of a task beside those of the others, also what another process wrote meanwhile.

        Raises:
            OptionError: If the file cannot be read or written, or holds no rows any more.
        """
        with one_at_a_time(self._path, f"writing {self._path}"):
            if _state_of(self._path) != self._seen:
                for name, others in _rows_of(self._path).items():
                    if name not in self._mine:
                        self._keep(name, others)
            self._mine.add(task.name)
            self._keep(task.name, rows)
            text = ",\n".join(line for lines in self._lines.values() for line in lines)
            write_text_file(self._path, f"[\n{text}\n]\n")
            self._seen = _state_of(self._path)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _rows_of(path: Path) -> dict[_Name, list[Row]]:
    """Return the rows of a file by network and method; none where it is not there."""
    found: dict[_Name, list[Row]] = {}
    for row in _read(path) if path.exists() else []:
        found.setdefault((row["model"], row["method"]), []).append(row)
    return found


def _read(path: Path) -> list[Row]:
    try:
        content = decode_json(read_bytes(path, MAX_BYTES), finite=True)
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot go on with {path}: {why_unreadable(error)}. Name another file") from None
    if not isinstance(content, list) or not all(_is_row(row) for row in content):
        raise OptionError(f"{path} holds no rows of a matrix; it is not overwritten. Name another file")
    return content


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in _HEAD.items())


def _check_same_question(path: Path, row: Row, task: Task) -> None:
    usual = {"weights": "", "measure": []}  # of rows that say nothing of it
    asked, row = {**usual, **task.settings()}, {**usual, **row}
    differing = [name for name, value in asked.items() if row.get(name) != value]
    if differing:
        name = differing[0]
        there, here = shown(row.get(name)), shown(asked[name])
        what = f"{name} {there} there, {here} here"
    elif row["ratio"] not in task.ratios:
        what = f"a ratio of {row['ratio']:g} there, not asked for here"
    else:
        return
    raise OptionError(
        f"{path} answers another question of {task.model}, {task.method.name}: {what}. Name another file"
    )

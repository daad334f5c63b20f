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
from pruning_core.pruning.matrix_worker import Row, Task

MAX_BYTES = 400_000_000

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
        rows = _read(path) if path.exists() else []
        asked = {task.name: task for task in tasks}
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            name = (row["model"], row["method"])
            if (task := asked.get(name)) is not None:
                _check_same_question(path, row, task)
            self._rows.setdefault(name, []).append(row)
        self._lines = {name: [for_json(row) for row in rows] for name, rows in self._rows.items()}

    def find(self, task: Task) -> list[Row] | None:
        """Return the rows of a task; None where some are missing or failed, so that it is tried again."""
        rows = {row["ratio"]: row for row in self._rows.get(task.name, []) if not row["error"]}
        return [rows[ratio] for ratio in task.ratios] if rows.keys() == set(task.ratios) else None

    def put(self, task: Task, rows: list[Row]) -> None:
        """Write the rows of a task beside those of the others."""
        self._rows[task.name] = rows
        self._lines[task.name] = [for_json(row) for row in rows]
        text = ",\n".join(line for lines in self._lines.values() for line in lines)
        write_text_file(self._path, f"[\n{text}\n]\n")


def _read(path: Path) -> list[Row]:
    try:
        content = decode_json(read_bytes(path, MAX_BYTES))
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

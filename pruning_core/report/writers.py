"""A report as text: terminal, Markdown and a page for people, CSV and JSON for programs.

People get rounded numbers in tables; programs get every field of every record, exact. Each format is written
a chunk at a time, so that a report of 100,000 cells never stands in memory as one text.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pruning_core.console.escaping import for_csv, for_json, for_markdown
from pruning_core.console.streams import WIDTH
from pruning_core.errors import OptionError
from pruning_core.report.cells import Cell, joined_cells, told_fields
from pruning_core.report.estimate import Estimate
from pruning_core.report.page import page_chunks
from pruning_core.report.table import Report, Table, legend_text, texts_of

CSV_ROWS = 64
"""Rows of CSV that are in memory at once."""


def render(report: Report, format: str, width: int = WIDTH, colour: bool = False) -> str:
    """Write a report as one text.

    Args:
        report: What `build_report` made.
        format: A key of `FORMATS`: `terminal`, `markdown`, `csv`, `json` or `html`.
        width: Columns of a terminal.
        colour: Whether the terminal may be sent colours.

    Raises:
        OptionError: If there is no such format.
    """
    return "".join(report_chunks(report, format, width, colour))


def report_chunks(report: Report, format: str, width: int = WIDTH, colour: bool = False) -> Iterable[str]:
    """Write a report in a format of `FORMATS`, a chunk at a time; see `render`."""
    if format not in FORMATS:
        raise OptionError(f"no format {format!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[format](report, width, colour)


def _terminal(report: Report, width: int, colour: bool) -> Iterator[str]:
    from pruning_core.report.terminal import terminal_chunks  # rich takes a tenth of a second to import

    return terminal_chunks(report.tables, width, colour)


def _markdown(report: Report) -> Iterator[str]:
    for number, table in enumerate(report.tables):
        warnings = "".join(f"**{for_markdown(line)}**\n\n" for line in table.warnings)
        notes = "\n".join(f"- {for_markdown(line)}" for line in _notes(table))
        gap = "\n" if number else ""
        yield f"{gap}### {for_markdown(table.title)}\n\n{warnings}{_grid(table)}\n\n{notes}\n"


def _notes(table: Table) -> list[str]:
    return [f"{legend_text(table.legend())}.", *table.notes]


def _grid(table: Table) -> str:
    from tabulate import tabulate

    body = [
        [
            f"{for_markdown(number)} [{for_markdown(interval)}]" if interval else for_markdown(number)
            for number, interval in texts
        ]
        for texts in ([texts_of(row, column) for column in table.columns] for row in table.rows)
    ]
    headers = [for_markdown(column.header) for column in table.columns]
    sides = tuple("left" if column.kind == "text" else "right" for column in table.columns)
    return tabulate(body, headers, tablefmt="github", colalign=sides, disable_numparse=True)


def _csv(report: Report) -> Iterator[str]:
    """Write a row for each cell, and a column for each field that any cell has."""
    import pandas as pd  # half a second, which no other format is worth

    columns = told_fields(report.indexes)
    header = True
    for cells in _batches(joined_cells(report.indexes), CSV_ROWS):
        rows = [[for_csv(cell.get(name)) for name in columns] for cell in cells]
        frame = pd.DataFrame(rows, columns=columns, dtype=object)  # else whole numbers would get a point
        yield frame.to_csv(index=False, header=header, lineterminator="\n")
        header = False


def _batches(cells: Iterator[Cell], size: int) -> Iterator[list[Cell]]:
    while batch := list(islice(cells, size)):
        yield batch


def _json(report: Report) -> Iterator[str]:
    """Write runs, tables and cells, a line for each row and each cell."""
    runs = (
        {
            "file": index.run.path.name,
            "date": index.run.datetime,
            "commit": index.run.commit,
            "machine": index.run.machine,
        }
        for index in report.files
    )
    yield '{\n "runs": ['
    yield from _items(runs)
    yield '],\n "tables": ['
    yield from _items(map(_table_content, report.tables))
    yield '],\n "cells": ['
    yield from _items(report.cells())
    yield "]\n}\n"


def _items(contents: Iterable[object]) -> Iterator[str]:
    end = "\n  "
    for content in contents:
        yield end + for_json(content)
        end = ",\n  "


def _table_content(table: Table) -> dict[str, object]:
    return {
        "title": table.title,
        "columns": [
            {"id": c.id, "head": c.header, "kind": c.kind, "fixed": c.fixed, "group": c.group}
            for c in table.columns
        ],
        "rows": [{_JSON_NAMES.get(name, name): _plain(v) for name, v in row.items()} for row in table.rows],
        "warnings": table.warnings,
        "notes": _notes(table),
    }


_JSON_NAMES = {"flags": "marks"}
"""Where JSON keeps an older name, which programs read."""


def _plain(value: object) -> object:
    if isinstance(value, Estimate):
        return {"value": value.value, "low": value.low, "high": value.high}
    return value


FORMATS: dict[str, Callable[[Report, int, bool], Iterable[str]]] = {
    "terminal": _terminal,
    "markdown": lambda report, width, colour: _markdown(report),
    "csv": lambda report, width, colour: _csv(report),
    "json": lambda report, width, colour: _json(report),
    "html": lambda report, width, colour: page_chunks(report),
}
"""Name of a format → how a report is written in it, in chunks, for a width, with or without colour."""

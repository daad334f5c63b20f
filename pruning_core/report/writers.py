"""A report as text: terminal, Markdown and a page for people, CSV and JSON for programs.

People get rounded numbers in tables; programs get every field of every record, exact. Each format is written
a piece at a time, so that a report of 100,000 cells never stands in memory as one text.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator

from pruning_core.console.escaping import for_csv, for_json, for_markdown
from pruning_core.console.streams import WIDTH
from pruning_core.errors import OptionError
from pruning_core.report.page import page_pieces
from pruning_core.report.run_index import Estimate
from pruning_core.report.tables import Report, Table, texts_of


def render(report: Report, form: str, width: int = WIDTH, colour: bool = False) -> str:
    """Write a report as one text.

    Args:
        report: What `build_report` made.
        form: A key of `FORMATS`: `terminal`, `markdown`, `csv`, `json` or `html`.
        width: Columns of a terminal.
        colour: Whether the terminal may be sent colours.

    Raises:
        OptionError: If there is no such format.
    """
    return "".join(report_pieces(report, form, width, colour))


def report_pieces(report: Report, form: str, width: int = WIDTH, colour: bool = False) -> Iterable[str]:
    """Write a report in a form of `FORMATS`, a piece at a time."""
    if form == "terminal":
        from pruning_core.report.terminal import terminal_pieces  # rich takes a tenth of a second to import

        return terminal_pieces(report.tables, width, colour)
    if form not in FORMATS:
        raise OptionError(f"no format {form!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[form](report)


def _markdown(report: Report) -> Iterator[str]:
    for number, table in enumerate(report.tables):
        warnings = "".join(f"**{for_markdown(line)}**\n\n" for line in table.warnings)
        notes = "\n".join(f"- {for_markdown(line)}" for line in table.notes)
        gap = "\n" if number else ""
        yield f"{gap}### {for_markdown(table.title)}\n\n{warnings}{_grid(table)}\n\n{notes}\n"


def _grid(table: Table) -> str:
    from tabulate import tabulate

    body = [
        [
            f"{for_markdown(number)} [{for_markdown(interval)}]" if interval else for_markdown(number)
            for number, interval in texts
        ]
        for texts in ([texts_of(row, column) for column in table.columns] for row in table.rows)
    ]
    heads = [for_markdown(column.head) for column in table.columns]
    sides = tuple("left" if column.kind == "text" else "right" for column in table.columns)
    return tabulate(body, heads, tablefmt="github", colalign=sides, disable_numparse=True)


def _csv(report: Report) -> Iterator[str]:
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for cell in report.cells():
        if writer is None:
            writer = csv.DictWriter(text, list(cell), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: for_csv(value) for name, value in cell.items()})
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _json(report: Report) -> Iterator[str]:
    """Write runs, tables and cells, a line for each row and each cell."""
    runs = (
        {
            "file": index.run.path.name,
            "date": index.run.datetime,
            "commit": index.run.commit,
            "machine": index.run.machine,
        }
        for index in report.indexes
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
        "columns": [vars(column) for column in table.columns],
        "rows": [{name: _plain(value) for name, value in row.items()} for row in table.rows],
        "warnings": table.warnings,
        "notes": table.notes,
    }


def _plain(value: object) -> object:
    if isinstance(value, Estimate):
        return {"value": value.value, "low": value.low, "high": value.high}
    return value


FORMATS: dict[str, Callable[[Report], Iterable[str]]] = {
    "terminal": lambda report: report_pieces(report, "terminal"),
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
    "html": lambda report: page_pieces(report),
}
"""Name of a format → how a report is written in it, a piece at a time."""

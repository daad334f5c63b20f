"""A report as text: terminal, Markdown and a page for people, CSV and JSON for programs.

People get rounded numbers in tables; programs get every field of every record, exact. Not for: which tables
there are (`tables.py`).
"""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pruning_core.errors import OptionError
from pruning_core.records import read_run
from pruning_core.report.index import Estimate
from pruning_core.report.page import render_page
from pruning_core.report.picture import PICTURES, draw_picture
from pruning_core.report.tables import Column, Report, Row, Table, texts_of
from pruning_core.text_files import write_text_file

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 100
"""Columns of a page where there is no terminal to ask."""


def render(report: Report, form: str, width: int = WIDTH, colour: bool = False) -> str:
    """Write a report.

    Args:
        report: What `build_report` made.
        form: A key of `FORMATS`: `terminal`, `markdown`, `csv`, `json` or `html`.
        width: Columns of a terminal.
        colour: Whether the terminal may be sent colours.

    Raises:
        OptionError: If there is no such format.
    """
    if form == "terminal":
        return _terminal(report, width, colour)
    if form not in FORMATS:
        raise OptionError(f"no format {form!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[form](report)


def write_report(
    paths: Sequence[Path],
    form: str,
    output: Path | None = None,
    baseline: Path | None = None,
    columns: str = "all",
) -> None:
    """Read benchmark JSON files and write their report.

    Args:
        paths: At least one file; several stand side by side.
        form: A key of `FORMATS`, or `svg` or `png`.
        output: A file; standard output by default, in its width and with colours if it is a terminal.
        baseline: Of the gate, whose verdicts on the first file stand on the page.
        columns: `all` or `tutorial` (see `build_report`).

    Raises:
        RecordError: If a file cannot be used.
        OptionError: If there is no such format, or the output cannot be written.
    """
    from pruning_core.report import build_report

    if baseline is not None and form != "html":
        raise OptionError("--baseline is for --format html; elsewhere use `pruning-bench gate`")
    if columns != "all" and form not in ("terminal", "markdown"):
        raise OptionError(f"--columns {columns} is for --format terminal and markdown; csv and json hold all")
    runs = [read_run(path) for path in paths]
    report = build_report(runs, columns)
    if form in PICTURES:
        if output is None:
            raise OptionError(f"a picture needs a file to go to: --format {form} -o report.{form}")
        draw_picture(report, output, form)
        return
    if baseline is not None:
        from pruning_core.gate import Policy, compare

        page = render_page(report, compare(read_run(baseline), runs[0], Policy()))
        _write(page, output)
        return
    if output is not None:
        write_text_file(output, render(report, form))
        return
    width, colour = WIDTH, False
    if form == "terminal":
        from rich.console import Console

        console = Console()
        if console.is_terminal:
            width, colour = console.width, not console.no_color
    sys.stdout.write(render(report, form, width, colour))


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        write_text_file(output, text)


def _terminal(report: Report, width: int, colour: bool) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for table in report.tables:
        console.print(Text(table.title, style="bold"))
        for line in table.warnings:
            console.print(Text(line, style="bold yellow"))
        layout, pages = _pages(table, width)
        for columns in pages:
            # The box draws one blank between columns by itself.
            padding = (0, layout.gap - 1, 0, 0)
            needed = sum(_width_of(table, column, layout) for column in columns)
            shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
            for column in columns:
                head = column.head.replace(" ", "\n", 1) if layout.two_lines else column.head
                shown.add_column(Text(head), justify=_justify(column), no_wrap=True)
            for row in table.rows:
                shown.add_row(*(_two_tone(row, column, layout.two_lines) for column in columns))
            # Too wide a table is to be cut by the reader's terminal, not by rich, which drops columns.
            console.width = max(width, needed)
            console.print(shown)
            console.width = width
        for line in table.notes:
            console.print(Text(line, style="dim"))
        console.print()
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def _two_tone(row: Row, column: Column, two_lines: bool) -> "Text":
    from rich.text import Text

    number, interval = texts_of(row, column)
    text = Text(number)
    if interval:
        text.append(f"\n{interval}" if two_lines else f" [{interval}]", style="dim")
    return text


class _Layout(NamedTuple):
    two_lines: bool  # intervals, and the second word of a head, stand below
    gap: int  # blanks between columns


def _pages(table: Table, width: int) -> tuple[_Layout, list[list[Column]]]:
    """Fit a table into a width: ever tighter layouts, at last groups of columns on further pages.

    Returns:
        The layout, and the columns of each page; those that name a row are on all of them.
    """
    for layout in (_Layout(False, 2), _Layout(True, 2), _Layout(True, 1)):
        if sum(_width_of(table, column, layout) for column in table.columns) - layout.gap <= width:
            return layout, [list(table.columns)]
    layout = _Layout(True, 2)
    fixed = [column for column in table.columns if column.fixed]
    room = width + layout.gap - sum(_width_of(table, column, layout) for column in fixed)
    pages: list[list[Column]] = [[]]
    left = room
    movable = [column for column in table.columns if not column.fixed]
    for _, group in groupby(movable, key=lambda column: column.group or column.id):
        together = list(group)
        needed = sum(_width_of(table, column, layout) for column in together)
        if pages[-1] and needed > left:
            pages.append([])
            left = room
        pages[-1] += together
        left -= needed
    return layout, [fixed + page for page in pages]


def _width_of(table: Table, column: Column, layout: _Layout) -> int:
    widest = max(map(len, column.head.split(" ", 1))) if layout.two_lines else len(column.head)
    for row in table.rows:
        number, interval = texts_of(row, column)
        beside = len(number) + (len(interval) + 3 if interval else 0)
        widest = max(widest, max(len(number), len(interval)) if layout.two_lines else beside)
    return widest + layout.gap


def _justify(column: Column) -> Literal["left", "right"]:
    return "left" if column.kind == "text" else "right"


def _markdown(report: Report) -> str:
    from tabulate import tabulate

    parts = []
    for table in report.tables:
        body = [
            [_escaped(f"{number} [{interval}]" if interval else number) for number, interval in texts]
            for texts in ([texts_of(row, column) for column in table.columns] for row in table.rows)
        ]
        heads = [_escaped(column.head) for column in table.columns]
        sides = tuple(_justify(column) for column in table.columns)
        grid = tabulate(body, heads, tablefmt="github", colalign=sides, disable_numparse=True)
        warnings = "".join(f"**{_escaped(line)}**\n\n" for line in table.warnings)
        notes = "\n".join(f"- {_escaped(line)}" for line in table.notes)
        parts.append(f"### {_escaped(table.title)}\n\n{warnings}{grid}\n\n{notes}\n")
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Keep names and failure texts from outside from acting as Markdown or HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|~])", r"\\\1", " ".join(text.split())).replace("](", "]\\(")


def _csv(report: Report) -> str:
    text = io.StringIO()
    columns = list(report.cells[0]) if report.cells else []
    writer: csv.DictWriter[str] = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for cell in report.cells:
        writer.writerow(
            {k: json.dumps(v) if isinstance(v, list | dict | bool) else v for k, v in cell.items()}
        )
    return text.getvalue()


def _json(report: Report) -> str:
    content = {
        "runs": [
            {
                "file": index.run.path.name.encode(errors="replace").decode(),
                "date": index.run.datetime,
                "commit": index.run.commit,
                "machine": index.run.machine,
            }
            for index in report.indexes
        ],
        "tables": [
            {
                "title": table.title,
                "columns": [asdict(column) for column in table.columns],
                "rows": [{name: _plain(value) for name, value in row.items()} for row in table.rows],
                "warnings": table.warnings,
                "notes": table.notes,
            }
            for table in report.tables
        ],
        "cells": report.cells,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    return asdict(value) if isinstance(value, Estimate) else value


FORMATS: dict[str, Callable[[Report], str]] = {
    "terminal": lambda report: render(report, "terminal"),
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
    "html": lambda report: render_page(report),
}
"""Name of a format → how a report is written in it."""

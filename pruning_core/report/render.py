"""A report as text: terminal, Markdown and a page for people, CSV and JSON for programs.

People get rounded numbers in tables; programs get every field of every record, exact. Each format is written
a piece at a time, so that a report of 100,000 cells never stands in memory as one text. Not for: which
tables there are (`tables.py`).
"""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pruning_core.errors import OptionError
from pruning_core.escaping import for_csv, for_json, for_markdown
from pruning_core.garbage import no_garbage_collection
from pruning_core.report.dataset_names import FOLDER, content_of, is_folder_name
from pruning_core.report.index import Estimate
from pruning_core.report.page import page_pieces
from pruning_core.report.picture import PICTURES, draw_picture
from pruning_core.report.tables import Report, Table, texts_of
from pruning_core.run_files import Run, read_run
from pruning_core.streams import WIDTH, find_width, print_content, print_pieces
from pruning_core.text_files import check_writable, write_pieces


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
    return "".join(_pieces(report, form, width, colour))


def write_report(
    paths: Sequence[Path],
    form: str,
    output: Path | None = None,
    baseline: Path | None = None,
    columns: str = "all",
    dataset_titles: Mapping[str, str] | None = None,
) -> None:
    """Read benchmark JSON files and write their report.

    Args:
        paths: At least one file; several stand side by side.
        form: A key of `FORMATS`, or `svg` or `png`.
        output: A file; standard output by default, in its width and with colours if it is a terminal.
        baseline: Of the gate, whose verdicts on the first file stand on the page.
        columns: `all` or `tutorial` (see `build_report`).
        dataset_titles: Name of a dataset in the records → what people are to read instead.

    Raises:
        RecordError: If a file cannot be used.
        OptionError: If there is no such format or dataset, or the output cannot be written.
    """
    from pruning_core.report import build_report

    if baseline is not None and form != "html":
        raise OptionError("--baseline is for --format html; elsewhere use `pruning-bench gate`")
    if columns != "all" and form not in ("terminal", "markdown"):
        raise OptionError(f"--columns {columns} is for --format terminal and markdown; csv and json hold all")
    if dataset_titles and form in ("csv", "json"):
        raise OptionError("--dataset-title is for people; csv and json keep the name in the records")
    if output is not None:
        check_writable(output)
    with no_garbage_collection():  # see `gate.run_gate`
        runs = [read_run(path) for path in paths]
        report = build_report(_with_titles(runs, dataset_titles or {}), columns)
    if form in PICTURES:
        if output is None:
            raise OptionError(f"a picture needs a file to go to: --format {form} -o report.{form}")
        draw_picture(report, output, form)
    elif baseline is not None:
        from pruning_core.gate import Policy, compare

        _write(page_pieces(report, compare(read_run(baseline), runs[0], Policy())), output)
    elif form == "terminal" and output is None:
        from rich.console import Console

        console = Console()
        colour = console.is_terminal and not console.no_color and console.color_system is not None
        print_pieces(_pieces(report, form, find_width(sys.stdout), colour))
    else:
        _write(_pieces(report, form), output)


def _with_titles(runs: list[Run], titles: Mapping[str, str]) -> list[Run]:
    if not titles:
        return runs
    contents = sorted({content_of(r) for run in runs for r in run.records if "dataset" in r})
    names = list(dict.fromkeys(name for name, _ in contents))
    folders = [content for content in contents if is_folder_name(content[0])]
    if FOLDER in titles and len({fingerprint for _, fingerprint in folders}) == 1:
        titles = {**dict.fromkeys((name for name, _ in folders), titles[FOLDER]), **titles}
    elif FOLDER in titles and FOLDER not in names and folders:
        raise OptionError(
            f"--dataset-title: {FOLDER!r} may be any of these folders; give each its own: "
            f"{', '.join(dict.fromkeys(name for name, _ in folders))}"
        )
    for name in titles:
        if name not in names and not (name == FOLDER and folders):
            raise OptionError(
                f"--dataset-title: no dataset {name!r} in these files; there: {', '.join(names) or 'none'}"
            )
    return [
        replace(
            run,
            records=tuple(
                {**record, "dataset": titles[record["dataset"]]}
                if record.get("dataset") in titles
                else record
                for record in run.records
            ),
        )
        for run in runs
    ]


def _pieces(report: Report, form: str, width: int = WIDTH, colour: bool = False) -> Iterable[str]:
    if form == "terminal":
        from pruning_core.report.terminal import terminal_pieces  # rich takes a tenth of a second to import

        return terminal_pieces(report.tables, width, colour)
    if form not in FORMATS:
        raise OptionError(f"no format {form!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[form](report)


def _write(pieces: Iterable[str], output: Path | None) -> None:
    """Write all pieces; a file comes to be, or is replaced, when the last of them is written."""
    if output is None:
        print_content(pieces)
        return
    write_pieces(output, (piece.encode("utf-8") for piece in pieces))


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
    "terminal": lambda report: _pieces(report, "terminal"),
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
    "html": lambda report: page_pieces(report),
}
"""Name of a format → how a report is written in it, a piece at a time."""

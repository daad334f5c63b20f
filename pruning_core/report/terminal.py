"""The tables for a terminal, drawn by rich: columns that fit its width, bold headings, dim intervals."""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pruning_core.console.escaping import printable
from pruning_core.report.table import Column, Row, Table, legend_text, texts_of

MAX_ROWS = 2000
"""No table is begun after so many rows: nobody reads on, and rich would take minutes for 100,000."""


class _Layout(NamedTuple):
    two_lines: bool  # intervals stand below their numbers, and headings take several lines
    gap: int  # blanks between columns


def terminal_chunks(tables: Sequence[Table], width: int, colour: bool) -> Iterator[str]:
    """Draw tables, a chunk of text for each.

    Args:
        tables: What to show.
        width: Columns of the terminal; a row that cannot be made to fit is wider, for the terminal to cut.
        colour: Whether to send escape sequences.
    """
    shown = 0
    explained: dict[str, str] = {}
    for number, table in enumerate(tables):
        if shown > MAX_ROWS:
            rows = sum(len(left.rows) for left in tables[number:])
            yield f"{len(tables) - number} more tables, {rows} rows: the other formats hold them.\n"
            return
        new = {word: text for word, text in table.legend().items() if explained.get(word) != text}
        explained |= new
        yield _draw(table, new, width, colour)
        shown += len(table.rows)


def _draw(table: Table, legend: dict[str, str], width: int, colour: bool) -> str:
    drawn = io.StringIO()
    console = Console(
        file=drawn,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(Text(printable(table.title), style="bold"))
    for line in table.warnings:
        console.print(Text(printable(line), style="bold yellow"))
    layout, pages = _pages(table, width)
    for columns in pages:
        # The box draws one blank between columns by itself.
        padding = (0, layout.gap - 1, 0, 0)
        needed = sum(_width_of(table, column, layout) for column in columns)
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
        for column in columns:
            header = "\n".join(_header_lines(column, layout, _body_width(table, column, layout)))
            grid.add_column(Text(header), justify=_justify(column), no_wrap=True)
        for row in table.rows:
            grid.add_row(*(_two_tone(row, column, layout.two_lines) for column in columns))
        # Too wide a table is to be cut by the reader's terminal, not by rich, which drops columns.
        console.width = max(width, needed)
        console.print(grid)
        console.width = width
    for line in [*([f"{legend_text(legend)}."] if legend else []), *table.notes]:
        console.print(Text(printable(line), style="dim"))
    console.print()
    return re.sub(r"[ \t]+$", "", drawn.getvalue(), flags=re.MULTILINE)


def _two_tone(row: Row, column: Column, two_lines: bool) -> Text:
    number, interval = _texts_of(row, column)
    text = Text(number)
    if interval:
        text.append(f"\n{interval}" if two_lines else f" [{interval}]", style="dim")
    return text


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
    for _, neighbours in groupby(movable, key=lambda column: column.group or column.id):
        group = list(neighbours)
        widths = [_width_of(table, column, layout) for column in group]
        if pages[-1] and sum(widths) > left:
            pages.append([])
            left = room
        for column, needed in zip(group, widths, strict=True):
            if pages[-1] and needed > left:  # a group that is wider than a page
                pages.append([])
                left = room
            pages[-1].append(column)
            left -= needed
    return layout, [fixed + page for page in pages]


def _width_of(table: Table, column: Column, layout: _Layout) -> int:
    body = _body_width(table, column, layout)
    return max(body, *map(len, _header_lines(column, layout, body))) + layout.gap


def _header_lines(column: Column, layout: _Layout, width: int) -> list[str]:
    """Return a heading in one line, or in lines hardly wider than what stands below it."""
    if not layout.two_lines:
        return [column.header]
    width = max(width, *map(len, column.header.split(" ")), 1)
    return textwrap.wrap(column.header, width, break_long_words=False, break_on_hyphens=False)


def _body_width(table: Table, column: Column, layout: _Layout) -> int:
    widest = 0
    for row in table.rows:
        number, interval = _texts_of(row, column)
        beside = len(number) + (len(interval) + 3 if interval else 0)
        widest = max(widest, max(len(number), len(interval)) if layout.two_lines else beside)
    return widest


def _texts_of(row: Row, column: Column) -> tuple[str, str]:
    number, interval = texts_of(row, column)
    return printable(number), printable(interval)


def _justify(column: Column) -> Literal["left", "right"]:
    return "left" if column.kind == "text" else "right"

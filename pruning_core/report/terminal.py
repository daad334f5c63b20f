"""The tables for a terminal, drawn by rich: columns that fit its width, bold heads, dim intervals."""

import io
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pruning_core.console.escaping import printable
from pruning_core.report.tables import Column, Row, Table, texts_of

MAX_ROWS = 2000
"""No table is begun after so many rows: nobody reads on, and rich would take minutes for 100,000."""


class _Layout(NamedTuple):
    two_lines: bool  # intervals, and the second word of a head, stand below
    gap: int  # blanks between columns


def terminal_pieces(tables: Sequence[Table], width: int, colour: bool) -> Iterator[str]:
    """Draw tables, a piece of text for each.

    Args:
        tables: What to show.
        width: Columns of the terminal; a row that cannot be made to fit is wider, for the terminal to cut.
        colour: Whether to send escape sequences.
    """
    shown = 0
    for number, table in enumerate(tables):
        if shown > MAX_ROWS:
            rows = sum(len(left.rows) for left in tables[number:])
            yield f"{len(tables) - number} more tables, {rows} rows: the other formats hold them.\n"
            return
        yield _draw(table, width, colour)
        shown += len(table.rows)


def _draw(table: Table, width: int, colour: bool) -> str:
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
            head = column.head.replace(" ", "\n", 1) if layout.two_lines else column.head
            grid.add_column(Text(head), justify=_justify(column), no_wrap=True)
        for row in table.rows:
            grid.add_row(*(_two_tone(row, column, layout.two_lines) for column in columns))
        # Too wide a table is to be cut by the reader's terminal, not by rich, which drops columns.
        console.width = max(width, needed)
        console.print(grid)
        console.width = width
    for line in table.notes:
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
        number, interval = _texts_of(row, column)
        beside = len(number) + (len(interval) + 3 if interval else 0)
        widest = max(widest, max(len(number), len(interval)) if layout.two_lines else beside)
    return widest + layout.gap


def _texts_of(row: Row, column: Column) -> tuple[str, str]:
    number, interval = texts_of(row, column)
    return printable(number), printable(interval)


def _justify(column: Column) -> Literal["left", "right"]:
    return "left" if column.kind == "text" else "right"

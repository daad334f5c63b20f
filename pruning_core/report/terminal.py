"""The tables for a terminal: aligned columns that fit its width, bold heads, dim intervals.

The lines are laid out here because rich takes minutes for the tables of 100,000 cells. Not for: which
numbers there are (`tables.py`), or how they are rounded (`numbers.py`).
"""

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from pruning_core.report.tables import Column, Table, texts_of

_BOLD, _DIM, _WARNING = "1", "2", "1;33"  # how ECMA-48 writes them; the last is bold and yellow


class _Layout(NamedTuple):
    two_lines: bool  # intervals, and the second word of a head, stand below
    gap: int  # blanks between columns


class _Shown(NamedTuple):
    """A column as it is printed: for each row a number, and its interval or nothing."""

    column: Column
    texts: list[tuple[str, str]]

    def width(self, layout: _Layout) -> int:
        """Return how many characters it takes, without the gap."""
        head = self.column.head
        if layout.two_lines:
            longest = (max(len(number), len(interval)) for number, interval in self.texts)
            return max(*map(len, head.split(" ", 1)), max(longest, default=0))
        longest = (len(number) + (len(interval) + 3 if interval else 0) for number, interval in self.texts)
        return max(len(head), max(longest, default=0))


def terminal_lines(table: Table, width: int, colour: bool) -> Iterator[str]:
    """Lay a table out, a line at a time, without line ends.

    Args:
        table: What to show.
        width: Columns of the terminal; a row that cannot be made to fit is wider, for the terminal to cut.
        colour: Whether to send escape sequences.
    """
    yield from _paragraph(table.title, width, _BOLD if colour else "")
    for text in table.warnings:
        yield from _paragraph(text, width, _WARNING if colour else "")
    columns = [_Shown(column, [texts_of(row, column) for row in table.rows]) for column in table.columns]
    layout, pages = _pages(columns, width)
    for page in pages:
        yield from _grid(page, layout, colour)
    for text in table.notes:
        yield from _paragraph(text, width, _DIM if colour else "")
    yield ""


def _pages(columns: list[_Shown], width: int) -> tuple[_Layout, list[list[_Shown]]]:
    """Fit a table into a width: ever tighter layouts, at last groups of columns on further pages.

    Returns:
        The layout, and the columns of each page; those that name a row are on all of them.
    """
    for layout in (_Layout(False, 2), _Layout(True, 2), _Layout(True, 1)):
        if _total(columns, layout) <= width:
            return layout, [columns]
    layout = _Layout(True, 2)
    fixed = [shown for shown in columns if shown.column.fixed]
    pages: list[list[_Shown]] = [fixed]
    movable = [shown for shown in columns if not shown.column.fixed]
    for _, group in groupby(movable, key=lambda shown: shown.column.group or shown.column.id):
        together = list(group)
        if len(pages[-1]) > len(fixed) and _total(pages[-1] + together, layout) > width:
            pages.append(fixed)
        pages[-1] = pages[-1] + together
    return layout, pages


def _total(columns: list[_Shown], layout: _Layout) -> int:
    return sum(shown.width(layout) + layout.gap for shown in columns) - layout.gap


def _grid(page: list[_Shown], layout: _Layout, colour: bool) -> Iterator[str]:
    widths = [shown.width(layout) for shown in page]
    lefts = [shown.column.kind == "text" for shown in page]
    bold, dim = (_BOLD, _DIM) if colour else ("", "")

    def line(cells: list[tuple[str, str]], first: str = "", second: str = "") -> str:
        """Align a number and what stands beside it in each column, in the styles `first` and `second`."""
        parts = []
        for (number, beside), width, left in zip(cells, widths, lefts, strict=True):
            blanks = " " * (width - len(number) - len(beside))
            text = _styled(number, first) + _styled(beside, second)
            parts.append(text + blanks if left else blanks + text)
        return (" " * layout.gap).join(parts).rstrip()

    heads = [shown.column.head for shown in page]
    if layout.two_lines and any(" " in head for head in heads):
        yield line([(head.split(" ", 1)[0] if " " in head else "", "") for head in heads], bold)
        heads = [head.split(" ", 1)[-1] for head in heads]
    yield line([(head, "") for head in heads], bold)
    yield "─" * _total(page, layout)
    for cells in zip(*(shown.texts for shown in page), strict=True):
        if layout.two_lines:
            yield line([(number, "") for number, _ in cells])
            if any(interval for _, interval in cells):
                yield line([("", interval) for _, interval in cells], second=dim)
        else:
            yield line(
                [(number, f" [{interval}]" if interval else "") for number, interval in cells], second=dim
            )


def _paragraph(text: str, width: int, style: str) -> Iterator[str]:
    for line in textwrap.wrap(text, max(width, 1), break_on_hyphens=False, drop_whitespace=True) or [""]:
        yield _styled(line, style)


def _styled(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text

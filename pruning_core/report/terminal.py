"""The tables for a terminal: aligned columns that fit its width, dim intervals, bold heads.

We lay the lines out ourselves, because rich takes minutes for the tables of 100,000 cells. Not for: which
numbers there are (`tables.py`), or how they are rounded (`numbers.py`).
"""

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from pruning_core.report.tables import Column, Table, texts_of

_BOLD, _DIM, _WARNING = "1", "2", "1;33"  # SGR codes of ECMA-48; the last is bold and yellow

Texts = tuple[str, str]  # a number and its interval; the latter empty where there is none


class _Layout(NamedTuple):
    two_lines: bool  # intervals, and the second word of a head, stand below
    gap: int  # blanks between columns


class _Shown(NamedTuple):
    """A column as it is printed."""

    column: Column
    texts: list[Texts]  # a row each

    def width(self, two_lines: bool) -> int:
        head = self.column.head
        widest = max(map(len, head.split(" ", 1))) if two_lines else len(head)
        for number, interval in self.texts:
            beside = len(number) + (len(interval) + 3 if interval else 0)
            widest = max(widest, max(len(number), len(interval)) if two_lines else beside)
        return widest


def terminal_lines(table: Table, width: int, colour: bool) -> Iterator[str]:
    """Lay a table out, a line at a time, without line ends.

    Args:
        table: What to show.
        width: Columns of the terminal; a table that cannot be made to fit is wider, for the terminal to cut.
        colour: Whether to send escape sequences for bold, dim and yellow.
    """
    yield from _wrapped(table.title, width, _BOLD if colour else "")
    for line in table.warnings:
        yield from _wrapped(line, width, _WARNING if colour else "")
    columns = [_Shown(column, [texts_of(row, column) for row in table.rows]) for column in table.columns]
    layout, pages = _pages(columns, width)
    for page in pages:
        yield from _grid(page, layout, len(table.rows), colour)
    for line in table.notes:
        yield from _wrapped(line, width, _DIM if colour else "")
    yield ""


def _grid(page: list[_Shown], layout: _Layout, rows: int, colour: bool) -> Iterator[str]:
    widths = [shown.width(layout.two_lines) for shown in page]
    gap = " " * layout.gap
    aligned = [str.ljust if shown.column.kind == "text" else str.rjust for shown in page]

    def line(texts: list[str], styles: list[str]) -> str:
        padded = [align(text, width) for align, text, width in zip(aligned, texts, widths, strict=True)]
        bare = gap.join(padded).rstrip()
        if not colour or not any(styles):
            return bare
        return gap.join(_styled(text, style) for text, style in zip(padded, styles, strict=True)).rstrip()

    heads = [shown.column.head.split(" ", 1) if layout.two_lines else [shown.column.head] for shown in page]
    bold = [_BOLD] * len(page)
    if any(len(head) > 1 for head in heads):
        yield line([head[0] if len(head) > 1 else "" for head in heads], bold)
    yield line([head[-1] for head in heads], bold)
    yield "─" * (sum(widths) + layout.gap * (len(page) - 1))
    for row in range(rows):
        texts = [shown.texts[row] for shown in page]
        if layout.two_lines:
            yield line([number for number, _ in texts], [""] * len(page))
            if any(interval for _, interval in texts):
                yield line([interval for _, interval in texts], [_DIM] * len(page))
        else:
            beside = [f"{number} [{interval}]" if interval else number for number, interval in texts]
            text = line(beside, [""] * len(page))
            # Whatever stands in brackets is an interval: no number has any.
            yield _dim_intervals(text) if colour else text



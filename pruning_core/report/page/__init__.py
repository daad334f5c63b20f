"""The report as one HTML file: charts, budgets, tables to sort and filter; opens offline, loads nothing.

The tables are those of Markdown, rounded by the same functions. The charts are drawn by `page.js` from JSON
inside the page; `rule.js` is the rule of `pruning-bench recommend`. We draw SVG ourselves because a charting
library would add megabytes to each page, and points that cannot be reached by keyboard. A policy in the page
forbids it to load anything.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from pruning_core.console.escaping import for_html, for_script
from pruning_core.records.score import Measure
from pruning_core.report.method_table import PREFIX as METHODS
from pruning_core.report.page.points import columns_of, measures_in, point_columns
from pruning_core.report.table import Column, Report, Table, texts_of

if TYPE_CHECKING:
    from pruning_core.gate.result import GateResult

MAX_ROWS = 500
"""Rows of the table of cells that are drawn at once; filtering finds the others."""

MAX_TABLES = 60_000
"""Numbers in the tables that are on the page, about: with more a browser is slow. Other formats hold all."""

MAX_WARNINGS, MAX_NAMED = 50, 4
"""Warnings that the page begins with, and files that its headings name."""


def page_chunks(
    report: Report, verdicts: "GateResult | None" = None, explanations: str = ""
) -> Iterator[str]:
    """Return the page, a chunk at a time.

    Args:
        report: What `build_report` made.
        verdicts: Of the first run against a baseline, when there is one.
        explanations: Sections of the page (`explanation.py`).
    """
    script = _read("rule.js") + _read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    measures = measures_in(report)
    texts = {
        **_score_words(measures),
        "policy": policy,
        "style": _read("page.css"),
        "files": for_html(_files(report)),
        "runs": _runs(report),
        "warnings": _warnings(report),
        "verdicts": _verdicts(verdicts) if verdicts else "",
        "explanations": explanations,
        "methods": _methods(report.tables),
        "words": _words(report, columns_of(measures)),
        "script": script,
    }
    before, tables, between, data, after = re.split(r"(\$tables|\$data)", _read("page.html"))
    assert (tables, data) == ("$tables", "$data")
    yield Template(before).substitute(texts)
    yield from _tables(report.tables)
    yield Template(between).substitute(texts)
    yield from _data(report, measures)
    yield Template(after).substitute(texts)


def _data(report: Report, measures: Sequence[Measure]) -> Iterator[str]:
    columns = columns_of(measures)
    content = {
        "columns": [{"id": c.id, "header": c.header, "kind": c.kind, "meaning": c.meaning} for c in columns],
        "measures": [
            {"name": m.name, "lower": m.lower_is_better, "percent": m.is_accuracy, "direction": m.direction}
            for m in measures
        ],
        "widths": list(_widths(report)),
        "max_rows": MAX_ROWS,
        **point_columns(report, measures),
    }
    end = "{"
    for name, value in content.items():
        yield f'{end}\n"{name}": {for_script(value)}'
        end = ","
    yield "}"


def _read(name: str) -> str:
    return files("pruning_core.report.page").joinpath(name).read_text(encoding="utf-8")


def _widths(report: Report) -> Iterator[dict[str, Any]]:
    seen = set()
    for index in report.indexes:
        for cell in index.run.records:
            if cell["suite"] != "cost" or not cell.get("widths") or not cell.get("dense_widths"):
                continue
            group = index.subject_of(cell).network_title
            if (group, cell.get("key")) not in seen:
                seen.add((group, cell.get("key")))
                yield {
                    "group": group,
                    "method": cell.get("method"),
                    "ratio": cell.get("ratio"),
                    "widths": cell["widths"],
                    "dense": cell["dense_widths"],
                }


def _files(report: Report) -> str:
    names = [index.file for index in report.files]
    more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return ", ".join(names[:MAX_NAMED] + more)


def _score_words(measures: Sequence[Measure]) -> dict[str, str]:
    """Return what the page calls its scores: by name where there is one."""
    name, title, interval = "score", "Score", "scores 95 %, where the task gives an interval"
    if len(measures) == 1:
        name, title = measures[0].name, measures[0].title
        interval = f"{name} 95 %{' (Wilson)' if measures[0].is_accuracy else ', where there is an interval'}"
    points = all(measure.is_accuracy for measure in measures)
    return {
        "score_title": for_html(title),
        "score_interval": for_html(interval),
        "lost": f"{'Points lost are' if points else 'What is lost is'} counted from the dense model's "
        + for_html(name),
    }


def _words(report: Report, columns: Sequence[Column]) -> str:
    """Return what each heading of the page means, once; a training's speed-up is not that of a cell."""
    meanings: dict[str, dict[str, None]] = {}
    for column in (*columns, *(column for table in report.tables for column in table.columns)):
        if column.meaning:
            meanings.setdefault(column.word, {})[column.meaning] = None
    return "".join(
        f"<dt>{for_html(word)}</dt><dd>{for_html('; in other tables: '.join(found))}</dd>"
        for word, found in sorted(meanings.items(), key=lambda item: item[0].lower())
    )


def _runs(report: Report) -> str:
    lines = [f"<p>{for_html(f'{index.file}: {index.provenance()}')}</p>" for index in report.files]
    text = "\n".join(lines)
    return text if len(lines) <= 4 else f"<details><summary>{len(lines)} files</summary>{text}</details>"


def _warnings(report: Report) -> str:
    titles: dict[str, list[str]] = {}
    for table in report.tables:
        for warning in table.warnings:
            titles.setdefault(warning, []).append(table.title)
    lines = [
        f"{warning} ({found[0]}{f'; and {len(found) - 1} more tables' if len(found) > 1 else ''})"
        for warning, found in titles.items()
    ]
    if len(lines) > MAX_WARNINGS:
        lines[MAX_WARNINGS:] = [f"and {len(lines) - MAX_WARNINGS} more, in the other formats"]
    return "\n".join(f'<p class="warning">{for_html(line)}</p>' for line in lines)


def _methods(tables: Sequence[Table]) -> str:
    """Return a section of what compares methods; empty where nothing does."""
    found = "".join(_table(table) for table in tables if table.title.startswith(METHODS))
    return f"<section><h2>Methods and their controls</h2>{found}</section>" if found else ""


def _tables(tables: Sequence[Table]) -> Iterator[str]:
    room = MAX_TABLES
    tables = [table for table in tables if not table.title.startswith(METHODS)]
    for number, table in enumerate(tables):
        room -= len(table.rows) * len(table.columns)
        if room < 0:
            left_out = f"{len(tables) - number} of {len(tables)} tables are too much for a page"
            yield f"<p>{left_out}: the formats markdown, csv and json hold all.</p>"
            return
        yield _table(table)


def _table(table: Table) -> str:
    headers = "".join(
        f'<th scope="col"{_side(c)} title="{for_html(c.meaning)}">{_whole_words(c.header)}</th>'
        for c in table.columns
    )
    rows = []
    for row in table.rows:
        cells = []
        for column in table.columns:
            number, interval = texts_of(row, column)
            beside = f" <small>[{for_html(interval)}]</small>" if interval else ""
            cells.append(f"<td{_side(column)}>{for_html(number)}{beside}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    notes = "".join(f"<p>{for_html(line)}</p>" for line in table.notes)
    return (
        f"<details open><summary>{for_html(table.title)}</summary>"
        f'<div class="wide"><table><thead><tr>{headers}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<div class="notes">{notes}</div></details>'
    )


def _verdicts(result: "GateResult") -> str:
    from pruning_core.gate.render import MARKS, rows_of, summarize

    first, *others = summarize(result)
    shown, hidden = rows_of(result)
    rows = "".join(
        f'<tr><td class="text {row.verdict}">{MARKS[row.verdict]} {row.verdict}</td>'
        f'<td class="text">{for_html(row.name)}</td><td class="text why">{for_html(row.reason)}</td></tr>'
        for row in shown
    )
    others = [hidden, *others] if hidden else others
    notes = "".join(f"<p>{for_html(line)}</p>" for line in others)
    return (
        f"<section><h2>Against the baseline</h2>"
        f"<p><strong>{MARKS[result.verdict]} {for_html(first)}</strong></p>"
        f'<div class="wide"><table class="verdicts"><tbody>{rows}</tbody></table></div>'
        f'<div class="notes">{notes}</div></section>'
    )


def _whole_words(header: str) -> str:
    """Return a heading in which no word is broken at its hyphen."""
    words = (
        f"<span>{for_html(word)}</span>" if "-" in word else for_html(word) for word in header.split(" ")
    )
    return " ".join(words)


def _side(column: Column) -> str:
    return ' class="text"' if column.kind == "text" else ""

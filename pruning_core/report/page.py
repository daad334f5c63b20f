"""The report as one HTML file: charts, budgets, tables to sort and filter; opens offline, loads nothing.

The tables are those of Markdown, rounded by the same functions. The charts are drawn by `page.js` from JSON
inside the page; we draw SVG ourselves because a charting library would add megabytes to each page, and
points that cannot be reached by keyboard. A policy in the page forbids it to load anything.

Not for: what there is to say (`tables.py`), or pictures for a README (`picture.py`).
"""

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterator, Mapping
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from pruning_core.report.index import Estimate
from pruning_core.report.numbers import number_text
from pruning_core.report.tables import Column, Report, Table, texts_of

if TYPE_CHECKING:
    from pruning_core.gate_result import GateResult

ROWS_AT_MOST = 500
"""Rows of the table of cells that are drawn at once; filtering finds the others."""

COLUMNS = (
    Column("model", "model", "text"),
    Column("dataset", "dataset", "text"),
    Column("method", "method", "text"),
    Column("ratio", "ratio", "ratio"),
    Column("backend", "backend", "text"),
    Column("place", "device", "text"),
    Column("batch", "batch", "count"),
    Column("accuracy", "accuracy %", "percent"),
    Column("latency", "ms", "ms"),
    Column("speedup", "×dense", "factor"),
    Column("total", "total", "factor"),
    Column("macs", "MACs", "macs"),
    Column("params", "params", "params"),
    Column("size_bytes", "size", "bytes"),
)
"""Of the table of cells; `id` names the value of a point."""

_HIDDEN = {"right_answers", "log_ratios", "widths", "dense_widths", "schema_version", "dataset_fingerprint"}
"""Too long, or of no use, for a note beside a point."""

Point = dict[str, Any]


def render_page(report: Report, verdicts: "GateResult | None" = None) -> str:
    """Return the page.

    Args:
        report: What `build_report` made.
        verdicts: Of the first run against a baseline, when there is one.
    """
    points = list(_points(report))
    data = {
        "points": points,
        "columns": [{"id": c.id, "head": c.head, "kind": c.kind} for c in COLUMNS],
        "widths": list(_widths(report)),
        "most": ROWS_AT_MOST,
    }
    script = _read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    return Template(_read("page.html")).substitute(
        policy=policy,
        style=_read("page.css"),
        runs="\n".join(_run_line(report, number) for number in range(len(report.indexes))),
        warnings="\n".join(_warnings(report)),
        verdicts=_verdicts(verdicts) if verdicts else "",
        tables="\n".join(map(_table, report.tables)),
        # Inside a script element only `</` could end it; `<!--` could change how it is read.
        data=json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        script=script,
    )


def _read(name: str) -> str:
    return files("pruning_core.report").joinpath(name).read_text(encoding="utf-8")


def _points(report: Report) -> Iterator[Point]:
    """Make a point of each latency cell; what it costs comes from the checkpoint with its key."""
    costs = {cell["key"]: cell for cell in report.cells if cell["suite"] == "cost"}
    several = len(report.indexes) > 1
    for cell in report.cells:
        if cell["suite"] == "latency":
            yield _point(cell, costs.get(cell["key"], {}), several)


def _point(cell: Mapping[str, Any], cost: Mapping[str, Any], several: bool) -> Point:
    backend = f"{cell['backend']} {cell['precision']}"
    place = f"{cell['device']}, {cell['machine']}" if several else str(cell["device"])
    # A control has no gain, and its reference is itself.
    gain = {} if cell["control"] else cell
    point: Point = {
        "group": f"{cell['model']} on {cell['dataset']}",
        "model": cell["model"],
        "dataset": cell["dataset"],
        "method": cell["method"],
        "ratio": cell["ratio"],
        "backend": backend,
        "place": place,
        "batch": cell["batch_size"],
        "latency": cell["latency_ms"],
        "latency_low": cell["latency_low_ms"],
        "latency_high": cell["latency_high_ms"],
        "accuracy": cell["accuracy"],
        "accuracy_low": cell["accuracy_low"],
        "accuracy_high": cell["accuracy_high"],
        "speedup": gain.get("speedup"),
        "speedup_low": gain.get("speedup_low"),
        "speedup_high": gain.get("speedup_high"),
        "total": cell["total_speedup"],
        "total_low": cell["total_speedup_low"],
        "total_high": cell["total_speedup_high"],
        "macs": cost.get("macs"),
        "params": cost.get("params"),
        "size_bytes": cost.get("size_bytes"),
        "mac_reduction": cell["mac_reduction"],
    }
    point = {name: _finite(value) for name, value in point.items()}
    ratio = number_text(point["ratio"], "ratio")[0] if point["ratio"] is not None else ""
    method = "" if point["method"] == "dense" else f"{point['method']} "
    point["title"] = f"{method}{ratio}, {backend}, {place}, batch {point['batch']}"
    point["facts"] = [[n, _fact(v)] for n, v in cell.items() if n not in _HIDDEN and v not in (None, "")]
    point["shown"] = {column.id: number_text(_value(point, column.id), column.kind) for column in COLUMNS}
    point["search"] = " ".join(str(text) for text in (point["title"], point["group"], cell["cell"])).lower()
    return point


def _value(point: Point, name: str) -> object:
    value, low, high = (point.get(name), point.get(f"{name}_low"), point.get(f"{name}_high"))
    return value if value is None or low is None else Estimate(value, low, high)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fact(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _widths(report: Report) -> Iterator[dict[str, Any]]:
    seen = set()
    for cell in report.cells:
        if cell["suite"] == "cost" and cell["widths"] and cell["dense_widths"] and cell["key"] not in seen:
            seen.add(cell["key"])
            yield {
                "group": f"{cell['model']} on {cell['dataset']}",
                "ratio": cell["ratio"],
                "widths": cell["widths"],
                "dense": cell["dense_widths"],
            }


def _run_line(report: Report, number: int) -> str:
    index = report.indexes[number]
    return f"<p>{_text(index.run.path.name)}: {_text(index.facts())}</p>"


def _warnings(report: Report) -> Iterator[str]:
    for line in dict.fromkeys(line for table in report.tables for line in table.warnings):
        yield f'<p class="warning">{_text(line)}</p>'


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col"{_side(c)}>{_text(c.head)}</th>' for c in table.columns)
    rows = []
    for row in table.rows:
        cells = []
        for column in table.columns:
            number, interval = texts_of(row, column)
            beside = f" <small>[{_text(interval)}]</small>" if interval else ""
            cells.append(f"<td{_side(column)}>{_text(number)}{beside}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    notes = "".join(f"<p>{_text(line)}</p>" for line in table.notes)
    return (
        f"<details open><summary>{_text(table.title)}</summary>"
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<div class="notes">{notes}</div></details>'
    )


def _verdicts(result: "GateResult") -> str:
    from pruning_core.gate_outputs import MARKS, summarize

    first, *others = summarize(result)
    rows = "".join(
        f'<tr><td class="text {cell.verdict}">{MARKS[cell.verdict]} {cell.verdict}</td>'
        f'<td class="text">{_text(cell.suite)}/{_text(cell.cell)}</td>'
        f'<td class="text">{_text(cell.reason)}</td></tr>'
        for cell in result.cells
        if cell.changed
    )
    notes = "".join(f"<p>{_text(line)}</p>" for line in others)
    return (
        f"<section><h2>Against the baseline</h2>"
        f"<p><strong>{MARKS[result.verdict]} {_text(first)}</strong></p>"
        f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'
        f'<div class="notes">{notes}</div></section>'
    )


def _side(column: Column) -> str:
    return ' class="text"' if column.kind == "text" else ""


def _text(value: str) -> str:
    return html.escape(value.encode(errors="replace").decode())

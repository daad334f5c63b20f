"""The table that a run of the suites ends with: one row a cell, 80 columns wide, what it found and not more.

A row is a latency cell, with its score and, where the accuracy suite ran too, its drop. What ran without
latency (other suites alone, or under xdist) has rows of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from pruning_core.console.escaping import printable
from pruning_core.records.cuts import EXACT
from pruning_core.records.mac_counts import counts_of
from pruning_core.suites.summary_scores import (
    NONE,
    Summary,
    are_accuracies,
    drop_meaning,
    name_of,
    score_texts,
)

WIDTH = 80
MAX_ROWS = 20

FIELDS = (
    *("suite", "status", "model", "dataset", "method", "ratio", "backend", "precision", "device", "threads"),
    *("batch_size", "speedup", "speedup_low", "speedup_high", "latency_ms", "step_ms", "accuracy"),
    *("accuracy_drop", "macs", "macs_products", "macs_torch_pruning", "params", "is_control"),
    *("contaminated", "proof", "groups_kept_whole", "score", "score_name", "score_better", "score_drop"),
    *("target", "target_met", "target_reached", "seed"),
)
"""Fields of a record that the table needs: all that travels from a worker of xdist."""

FLAGS = {
    "F": "failed",
    "C": "contaminated times",
    "A": "A/A control: dense beside its copy",
    "S": "proved but for statistics over channels",
    "W": "groups kept whole",
}
_HEADS = ("cell", "speed-up [interval]", "ms", "accuracy %", "drop", "MACs", "params", "")
_IN_WORDS = {"threads": "threads", "batch": "batch"}  # in a label `t2` and `b32`


@dataclass
class _Row:
    summary: Summary
    parts: dict[str, str] = field(default_factory=dict)  # what the cell is called, piece by piece


def summary_fields(record: Summary) -> Summary:
    """Return what the table needs of a record, in plain values, which another process can be sent."""
    return {name: _plain(record[name]) for name in FIELDS if name in record}


def summary_table(summaries: Sequence[Summary]) -> list[str]:
    """Return the lines of the table, failed cells first.

    Args:
        summaries: From `summary_fields`, in the order in which the cells ran.
    """
    merged = _merged(summaries)
    percent = are_accuracies(merged)
    rows = [_Row(summary, _parts_of(summary, percent)) for summary in merged]
    if not rows:
        return []
    rows.sort(key=lambda row: row.summary.get("status") != "failed")
    constant, labels = _labels_of(rows)
    columns = [[label, *_texts_of(row.summary, percent)] for label, row in zip(labels, rows, strict=True)]
    heads = [head if percent or head != "accuracy %" else "score" for head in _HEADS]
    timed = any("speedup" in row.summary for row in rows)
    kept = [
        number
        for number in range(len(_HEADS))
        if number == 0
        or (any(texts[number] not in ("", NONE) for texts in columns) and not (timed and number in (5, 6)))
    ]
    lines = wrap(", ".join(constant), WIDTH)
    lines += _aligned([[texts[n] for n in kept] for texts in [heads, *columns[:MAX_ROWS]]])
    if len(rows) > MAX_ROWS:
        lines.append(f"… and {len(rows) - MAX_ROWS} more cells.")
    used = {flag for row in rows for flag in _flags_of(row.summary)}
    meanings = [f"{flag} {meaning}" for flag, meaning in FLAGS.items() if flag in used]
    meanings += drop_meaning(merged, percent)
    if not timed and any(_counts_differ(row.summary) for row in rows):
        meanings.append("MACs in brackets: by torch-pruning's own counter")
    return lines + wrap("; ".join(meanings) + "." if meanings else "", WIDTH)


def _merged(summaries: Sequence[Summary]) -> list[Summary]:
    """Return a summary for each row: a drop goes to its latency cells; cost where nothing else ran."""
    timed = [s for s in summaries if s["suite"] in ("latency", "training")]
    drops: dict[tuple[Any, ...], Summary] = {
        _cell_of(s): {name: s[name] for name in ("accuracy_drop", "score_drop") if name in s}
        for s in summaries
        if s["suite"] == "accuracy"
    }
    rows = [{**s, **drops.get(_cell_of(s), {})} if s["suite"] == "latency" else s for s in timed]
    shown = {_cell_of(s) for s in timed if s["suite"] == "latency"}
    rows += [
        s
        for s in summaries
        if s["suite"] == "accuracy" and (_cell_of(s) not in shown or s.get("status") == "failed")
    ]
    variants = {_variant_of(s) for s in rows if s["suite"] != "training"}
    rows += [
        s
        for s in summaries
        if s["suite"] == "cost" and (_variant_of(s) not in variants or s.get("status") == "failed")
    ]
    return rows


def _variant_of(summary: Summary) -> tuple[Any, ...]:
    return tuple(summary.get(name) for name in ("model", "dataset", "method", "ratio", "seed"))


def _cell_of(summary: Summary) -> tuple[Any, ...]:
    where = ("backend", "precision", "device", "score_name")
    return (*_variant_of(summary), *(summary.get(name) for name in where))


def _parts_of(summary: Summary, percent: bool) -> dict[str, str]:
    dense = summary["method"] == "dense"
    parts = {
        "model": summary["model"],
        "dataset": summary["dataset"],
        "score": "" if percent else name_of(summary),
        "method": "" if dense else summary["method"],
        "ratio": "dense" if dense else f"{summary['ratio']:g}",
        "seed": f"s{summary['seed']}" if "seed" in summary else "",
        "backend": f"{summary['backend']}:{summary['precision']}" if "backend" in summary else "",
        "device": summary.get("device", ""),
        "threads": f"t{summary['threads']}" if "threads" in summary else "",
        "batch": f"b{summary['batch_size']}" if "batch_size" in summary else "",
        "suite": "" if summary["suite"] == "latency" else summary["suite"],
    }
    return {name: printable(text) for name, text in parts.items()}


def _labels_of(rows: Sequence[_Row]) -> tuple[list[str], list[str]]:
    """Return what all cells have in common, and what each is called beside it."""
    names = list(rows[0].parts)
    values = {name: list(dict.fromkeys(row.parts[name] for row in rows if row.parts[name])) for name in names}
    constant = {name for name in names if len(values[name]) == 1 and name != "ratio"}
    # A suite that all rows are of goes without saying; one that some are of is said.
    constant -= {"suite"} if any(not row.parts["suite"] for row in rows) else set()
    labels = [
        " ".join(text for name, text in row.parts.items() if text and name not in constant) for row in rows
    ]
    said = {name: values[name][0] for name in names if name in constant and name != "seed"}
    said |= {name: f"{word} {said[name][1:]}" for name, word in _IN_WORDS.items() if name in said}
    return list(said.values()), labels


def _texts_of(summary: Summary, percent: bool) -> list[str]:
    """Return what a row says under each heading, beside its label.

    Args:
        summary: Of the row.
        percent: Whether the heading of scores says that they are accuracies in percent.
    """
    speedup = NONE
    if "speedup" in summary:
        value, low, high = (summary[name] for name in ("speedup", "speedup_low", "speedup_high"))
        decimals = _decimals(value)
        speedup = f"{value:.{decimals}f} [{low:.{decimals}f}–{high:.{decimals}f}]"
    macs, params = summary.get("macs"), summary.get("params")
    return [
        speedup,
        _three(summary.get("latency_ms", summary.get("step_ms"))),
        *score_texts(summary, percent),
        NONE if macs is None else _macs_text(summary),
        NONE if params is None else f"{params / 1e6:,.3f} M",
        _flags_of(summary),
    ]


def _counts_differ(summary: Summary) -> bool:
    return "macs" in summary and counts_of(summary).differ


def _macs_text(summary: Summary) -> str:
    text = f"{summary['macs'] / 1e6:,.2f} M"
    return f"{text} ({summary['macs_torch_pruning'] / 1e6:,.2f})" if _counts_differ(summary) else text


def _flags_of(summary: Summary) -> str:
    held = {
        "F": summary.get("status") == "failed",
        "C": summary.get("contaminated"),
        "A": summary.get("is_control"),
        "S": summary.get("proof") not in (None, "", EXACT),
        "W": summary.get("groups_kept_whole"),
    }
    return "".join(flag for flag in FLAGS if held[flag])


def _three(value: float | None) -> str:
    """Return a number with three digits that count, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    """Return how many decimals leave three digits that count."""
    return min(6, max(0, 2 - math.floor(math.log10(abs(value))))) if value and math.isfinite(value) else 2


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: labels left, all else right, the label cut so that a line fits."""
    from rich.cells import cell_len

    widths = [max(map(len, texts)) for texts in zip(*(row[1:] for row in rows), strict=True)]
    room = WIDTH - sum(width + 2 for width in widths)
    label = min(room, max(cell_len(row[0]) for row in rows))
    return [
        (_fit(row[0], label) + "".join(f"  {t:>{w}}" for t, w in zip(row[1:], widths, strict=True))).rstrip()
        for row in rows
    ]


def _fit(text: str, width: int) -> str:
    """Return a text of this width; a longer one loses its middle, since its end tells cells apart."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return set_cell_size(text, width)
    head = set_cell_size(text, width // 3)
    tail = text
    while cell_len(tail) > width - width // 3 - 1:
        tail = tail[1:]
    return set_cell_size(f"{head}…{tail}", width)


def _plain(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None

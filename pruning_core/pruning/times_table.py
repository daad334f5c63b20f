"""Measured times of pruned shapes as tables of 80 columns, and as columns of CSV."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.setting import Setting
from pruning_core.console.escaping import for_csv, printable
from pruning_core.pruning.preview_times import setting_of
from pruning_core.stats.intervals import control_problem

WIDTH = 80

_COLUMNS = (("ratio", 6), ("MACs saved", 10), ("time saved", 21), ("quotient", 8), ("ms", 9))
"""Headings and their widths."""

_CSV_NUMBERS = (
    "latency_ms",
    "reference_ms",
    "speedup",
    "low",
    "high",
    "mac_efficiency",
    "contention",
    "error",
)
"""Of each setting; its label stands behind the name."""

_EXPLAINED = "quotient: time saved ÷ MACs saved; at 1 every MAC saved is time saved"

Row = Mapping[str, Any]
"""A step of one network and method, as JSON has it, with its `times`."""

Time = Mapping[str, Any]


def render_times(rows: Sequence[Row]) -> str:
    """Render a table for each network, method and setting, and below what contaminates the times.

    Args:
        rows: In their order; those without times, as of a step that removes nothing more, say so.
    """
    subjects = dict.fromkeys((row["model"], row["method"]) for row in rows)
    lines: list[str] = []
    for subject in subjects:
        own = [row for row in rows if (row["model"], row["method"]) == subject]
        name = printable(f"{', '.join(subject)} on ") if len(subjects) > 1 else ""
        for setting in dict.fromkeys(setting_of(time) for row in own for time in row.get("times", ())):
            lines += [*_table(f"{name}{setting.label}", setting, own), ""]
    if not lines:
        return ""
    notes = [_EXPLAINED, *_contamination([time for row in rows for time in row.get("times", ())])]
    return "\n".join([*lines, *(line for note in notes for line in _folded(note))])


def time_columns(settings: Sequence[Setting]) -> list[object]:
    """Return the headings of the columns of CSV that hold times."""
    return [for_csv(f"{name}:{setting.label}") for setting in settings for name in _CSV_NUMBERS]


def time_values(times: Sequence[Time], settings: Sequence[Setting]) -> list[Any]:
    """Return the values in these columns; nothing where a step was not timed."""
    by_setting = {setting_of(time): time for time in times}
    return [for_csv(by_setting.get(setting, {}).get(name)) for setting in settings for name in _CSV_NUMBERS]


def _table(title: str, setting: Setting, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of one table."""
    found = [(row, next((t for t in row.get("times", ()) if setting_of(t) == setting), None)) for row in rows]
    dense_ms = next((t["reference_ms"] for _, t in found if t and t["reference_ms"]), None)
    yield from _folded(title + ("" if dense_ms is None else f": dense {_short(dense_ms)} ms"))
    errors = dict.fromkeys(t["error"] for _, t in found if t and t["error"])
    if dense_ms is None and errors:
        yield from _folded(f"not timed: {next(iter(errors))}", "  ")
        return
    yield _line([name for name, _ in _COLUMNS])
    for row, time in found:
        yield (
            _line(_cells(row, time)) if time and time["speedup"] else f"{row['ratio']:>6g}  {_why(row, time)}"
        )
    for error in errors:
        ratios = ", ".join(f"{row['ratio']:g}" for row, t in found if t and t["error"] == error)
        yield from _folded(f"not timed at {ratios}: {error}", "  ")


def _cells(row: Row, time: Time) -> list[str]:
    return [
        f"{row['ratio']:g}",
        _times(time["mac_reduction"]),
        f"{_times(time['speedup'])} [{_short(time['low'])}, {_short(time['high'])}]",
        "–" if time["mac_efficiency"] is None else f"{time['mac_efficiency']:.2f}",
        _short(time["latency_ms"]),
    ]


def _why(row: Row, time: Time | None) -> str:
    if time is not None:
        return "not timed"
    return "exhausted: removes nothing more" if row.get("exhausted") else "failed"


def _contamination(times: Sequence[Time]) -> Iterator[str]:
    """Yield one line on what else ran, one on controls that contradict the times, and what to do."""
    reasons = list(dict.fromkeys(time["contention"] for time in times if time["contention"]))
    if reasons:
        yield f"contaminated: {reasons[0]}{_more(reasons)}"
    tolerance = LatencyOptions().control_tolerance
    controls = dict.fromkeys(
        (setting_of(t), t["control_speedup"], t["control_low"], t["control_high"])
        for t in times
        if t["control_speedup"] is not None
    )
    bad = [
        f"A/A control of {setting.label}: {_short(speedup)} [{_short(low)}, {_short(high)}]"
        for setting, speedup, low, high in controls
        if control_problem(low, high, tolerance)
    ]
    if bad:
        yield f"contaminated: {bad[0]}{_more(bad)}"
    if reasons or bad:
        yield "take contaminated times for nothing, and measure again on an idle machine"


def _more(texts: Sequence[str]) -> str:
    return f"; and {len(texts) - 1} more" if len(texts) > 1 else ""


def _line(cells: Sequence[str]) -> str:
    return "  ".join(f"{text:>{width}}" for text, (_, width) in zip(cells, _COLUMNS, strict=True))


def _times(factor: float | None) -> str:
    return "–" if factor is None else f"{_short(factor)}×"


def _short(number: float) -> str:
    """Return three digits, or as many as are before the point."""
    return f"{number:.{2 if 1 <= number < 10 else 1 if 10 <= number < 100 else 0 if number >= 100 else 3}f}"


def _folded(text: str, indent: str = "") -> list[str]:
    return wrap(printable(text), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")

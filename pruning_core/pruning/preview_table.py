"""The rows of a matrix (`matrix.py`) as a table to read, as CSV and as JSON."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from pruning_core.config.setting import Setting
from pruning_core.console.escaping import for_csv, for_json, printable
from pruning_core.pruning.matrix_worker import Row
from pruning_core.pruning.times_table import render_times, time_columns, time_values

WIDTH = 80
"""Columns of the table."""

_GAP = "  "

_MAX_METHOD = 11

_NUMBERS = (("ratio", 5), ("MACs (G)", 8), ("of dense", 8), ("params (M)", 10), ("whole", 5), ("s", 6))
"""Headings of the numbers, and their widths."""

CSV_COLUMNS = (
    "model",
    "method",
    "ratio",
    "image",
    "macs",
    "params",
    "size_bytes",
    "dense_macs",
    "dense_params",
    "achieved_ratio",
    "sparsity",
    "exhausted",
    "proof",
    "groups_kept_whole",
    "groups",
    "kept_whole",
    "reload",
    "train",
    "onnx",
    "seconds",
    "check_seconds",
    "error",
)
"""No widths: every network has other layers."""

_MEASURED_COLUMNS = ("machine", "machine_fingerprint", "mac_reduction")


def json_pieces(rows: Iterable[Row]) -> Iterator[str]:
    """Give a JSON list in pieces, each row on a line, as the rows come."""
    before = "[\n"
    for row in rows:
        yield f"{before}{for_json(row)}"
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def csv_pieces(rows: Iterable[Row], settings: Sequence[Setting] = ()) -> Iterator[str]:
    """Give CSV in pieces, each row on a line, as the rows come.

    Args:
        rows: In their order.
        settings: On what they were timed.
    """
    columns = [*CSV_COLUMNS, *(_MEASURED_COLUMNS if settings else ())]
    yield _csv_line([*columns, *time_columns(settings)])
    for row in rows:
        shape = "x".join(map(str, row["image"]))
        whole = {"groups_kept_whole": _count_whole(row), "kept_whole": _reasons(row)}
        shown = {**row, "image": shape, **whole, **row.get("checks", {})}
        times = row.get("times") or []
        shown["mac_reduction"] = times[0]["mac_reduction"] if times else ""
        values = [for_csv(shown.get(name)) for name in columns]
        yield _csv_line([*values, *time_values(times, settings)])


def render_matrix(rows: Sequence[Row]) -> str:
    """Render a table, a line a row, then a line for each network that failed.

    Args:
        rows: In their order.
    """
    methods = {row["method"] for row in rows}
    method_width = min(max(map(len, methods)), _MAX_METHOD) + len(_GAP) if len(methods) > 1 else 0
    name_width = WIDTH - method_width - sum(width + len(_GAP) for _, width in _NUMBERS)
    # What all names begin with stands above them, so that less is cut.
    libraries = {row["model"].partition(":")[0] if ":" in row["model"] else "" for row in rows}
    library = f"{libraries.pop()}:" if len(libraries) == 1 and libraries != {""} else ""
    lines = [
        _line(library or "model", "method", [name for name, _ in _NUMBERS], name_width, method_width),
        "-" * WIDTH,
    ]
    for row in rows:
        name = printable(row["model"].removeprefix(library))
        lines.append(_line(name, row["method"], _cells(row), name_width, method_width))
    lines += ["", *_notes(rows)]
    errors = {(row["model"], row["method"]): row["error"] for row in rows if row["error"]}
    lines += [printable(f"{model}, {method}: {error}") for (model, method), error in errors.items()]
    if times := render_times(rows):
        lines += [*([""] if lines[-1] else []), times]
    return "\n".join(lines).rstrip()


def _csv_line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _notes(rows: Sequence[Row]) -> list[str]:
    """Say what the table has no room for."""
    notes = []
    if any(_count_whole(row) for row in rows):
        notes.append("whole: groups of channels that were kept whole; --format json says which and why")
    proofs = [row["proof"] for row in rows if row.get("proof")]
    if proofs:
        exact = proofs.count("exact")
        others = f"; {len(proofs) - exact} in which statistics change" if exact < len(proofs) else ""
        notes.append(f"proofs of cuts: {exact} exact{others}")
    checked = [row["checks"] for row in rows if row.get("checks")]
    names = dict.fromkeys(name for checks in checked for name in checks)
    counts = [f"{name} {sum(checks[name] is True for checks in checked)}" for name in names]
    if checked:
        notes.append(f"checks that {len(checked)} pruned networks pass: {', '.join(counts)}")
    why = {(row["model"], row["method"]): row["checks"]["onnx"] for row in rows if _lacks_onnx(row)}
    notes += [printable(f"{model}, {method}: onnx: {text}") for (model, method), text in why.items()]
    return notes


def _lacks_onnx(row: Row) -> bool:
    return row.get("checks", {}).get("onnx", True) is not True


def _line(name: str, method: str, numbers: Sequence[str], name_width: int, method_width: int) -> str:
    cells = [f"{_fitted(name, name_width):<{name_width}}"]
    if method_width:
        cells.append(f"{_fitted(method, method_width - len(_GAP)):<{method_width - len(_GAP)}}")
    cells += [f"{text:>{width}}" for text, (_, width) in zip(numbers, _NUMBERS, strict=True)]
    return _GAP.join(cells)


def _cells(row: Row) -> list[str]:
    """Return the numbers of a row as text."""
    if row["error"]:
        return [f"{row['ratio']:g}", "failed", "", "", "", f"{row['seconds']:.1f}"]
    share = row["macs"] / row["dense_macs"] if row["dense_macs"] else 1.0
    return [
        f"{row['ratio']:g}",
        f"{row['macs'] / 1e9:.3f}" if row["macs"] >= 1e7 else f"{row['macs'] / 1e9:.6f}",
        f"{share:.1%}",
        f"{row['params'] / 1e6:.2f}",
        str(_count_whole(row)),
        f"{row['seconds']:.1f}",
    ]


def _count_whole(row: Row) -> int | str:
    """Count the groups that were kept whole; nothing where that is not known."""
    return len(row["kept_whole"]) if isinstance(row.get("kept_whole"), list | tuple) else ""


def _reasons(row: Row) -> str:
    """Say of each group that was kept whole why."""
    return "; ".join(f"{kept['root']}: {kept['reason']}" for kept in row.get("kept_whole") or ())


def _fitted(name: str, width: int) -> str:
    """Return a name that is too long without its middle: beginning and end tell networks apart."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"

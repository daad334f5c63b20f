"""What became of an export, in one table of at most 80 columns."""

from pathlib import Path

from pruning_core.console.shown import shortened
from pruning_core.export.comparison import Comparison
from pruning_core.export.subject import Subject

WIDTH = 80


def render(result: Comparison, subject: Subject, path: Path, precision: str) -> str:
    """Return a title, a row each for the checkpoint, the record and the file, and how answers compare."""
    record = subject.record or {}
    rows = [("", "runs on", "accuracy", "size")]
    size = f"{subject.checkpoint.metrics.size_bytes / 1e6:.2f} MB"
    rows.append(("checkpoint", "eager fp32", _percent(result.accuracy_eager), size))
    if "accuracy" in record:
        where = f"{record['backend']} {record['precision']}"
        rows.append(("recorded", where, _percent(record["accuracy"]), ""))
    name = shortened(path.name, 24)
    rows.append(
        (
            name,
            f"{result.runtime} {precision}",
            _percent(result.accuracy),
            f"{result.size_bytes / 1e6:.2f} MB",
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [shortened(f"{subject.name}, checkpoint {subject.checkpoint.key[:12]}", WIDTH - 1), ""]
    for first, second, third, fourth in rows:
        line = f"{first:{widths[0]}}  {second:{widths[1]}}  {third:>{widths[2]}}  {fourth:>{widths[3]}}"
        lines.append(line.rstrip()[:WIDTH])
    inputs = "test images" if result.accuracy is not None else "random images"
    lines += [
        "",
        f"{result.n} {inputs}: {result.agreement:.2%} are predicted as by eager fp32; a logit differs",
        f"by {result.difference:.1e} of the largest at most from the same computation here.",
    ]
    return "\n".join(lines)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.2%}"

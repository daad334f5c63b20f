"""The report as a picture for a README: accuracy against latency, and speed-up against ratio.

Needs the extra `figures` (matplotlib). Not for: exploring (`page.py`).
"""

import importlib.util
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pruning_core.errors import OptionError
from pruning_core.records import Record
from pruning_core.report.index import Group, RunIndex
from pruning_core.report.tables import Report
from pruning_core.text_files import write_bytes_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = ("svg", "png")

# Okabe and Ito's palette: told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9", "#882255", "#4D4D4D")
MARKS = "os^DvPX*<>h"  # not as many as colours: the pair comes back only after 88 backends


def draw_picture(report: Report, path: Path, form: str) -> None:
    """Draw the first model and dataset that was timed, at its largest batch size.

    Args:
        report: What `build_report` made.
        path: Where to.
        form: `svg` or `png`.

    Raises:
        OptionError: If matplotlib is not installed, nothing was timed, or the file cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionError(
            "a picture needs matplotlib, which is not installed. Install with: "
            "pip install 'pruning-bench[figures]'"
        )
    index, group, device = _first_timed(report)
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    batch_size = index.batch_sizes(group, device)[-1]
    with mpl.rc_context({"svg.hashsalt": "pruning-bench", "font.size": 9}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
        for number, backend in enumerate(index.backends(group, device)):
            ratios = index.ratios(group, device)
            found = (index.latency(group, ratio, backend, device, batch_size) for ratio in ratios)
            records = [record for record in found if record]
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "marker": MARKS[number % len(MARKS)],
                "label": " ".join(backend),
            }
            _draw_accuracy(left, [r for r in records if "accuracy" in r], style)
            _draw_speedup(right, [r for r in records if r.get("ratio")], style)
        _finish(left, right)
        figure.suptitle(
            f"{group.model} on {group.dataset}, {group.method}, {device}, batch {batch_size}\n"
            f"{index.facts()}",
            fontsize=8,
        )
        figure.tight_layout()
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
        plt.close(figure)
    write_bytes_file(path, buffer.getvalue())


def _first_timed(report: Report) -> tuple[RunIndex, Group, str]:
    for index, group, device in _places(report):
        if index.batch_sizes(group, device):
            return index, group, device
    raise OptionError("nothing to draw: these files hold no latency records")


def _places(report: Report) -> Iterator[tuple[RunIndex, Group, str]]:
    for index in report.indexes:
        for group in index.groups():
            for device in index.devices(group):
                yield index, group, device


def _draw_accuracy(axis: "Axes", records: Sequence[Record], style: dict[str, str]) -> None:
    if not records:
        return
    x, y = [r["latency_ms"] for r in records], [r["accuracy"] for r in records]
    beside = _reach(records, "latency_ms", "latency_low_ms", "latency_high_ms")
    above = _reach(records, "accuracy", "accuracy_low", "accuracy_high")
    axis.errorbar(x, y, yerr=above, xerr=beside, ls=":", lw=0.8, ms=5, elinewidth=0.8, **style)  # type: ignore[arg-type]  # colour, marker, label


def _draw_speedup(axis: "Axes", records: Sequence[Record], style: dict[str, str]) -> None:
    if not records:
        return
    x, y = [r["ratio"] for r in records], [r["speedup"] for r in records]
    bounds = _reach(records, "speedup", "speedup_low", "speedup_high")
    axis.errorbar(x, y, yerr=bounds, lw=1, ms=5, elinewidth=0.8, **style)  # type: ignore[arg-type]  # as above
    ideal = {r["ratio"]: r["mac_reduction"] for r in records if "mac_reduction" in r}
    if ideal and not any(line.get_label() == "ideal: MACs saved" for line in axis.lines):
        axis.plot(list(ideal), list(ideal.values()), ls="--", color="#777777", label="ideal: MACs saved")


def _reach(records: Sequence[Record], value: str, low: str, high: str) -> list[list[float]]:
    """Return how far each interval reaches below and above its value, never less than nothing."""
    return [
        [max(0.0, r[value] - r[low]) for r in records],
        [max(0.0, r[high] - r[value]) for r in records],
    ]


def _finish(left: "Axes", right: "Axes") -> None:
    left.set(xscale="log", xlabel="latency of a call, ms", ylabel="accuracy", title="Accuracy and latency")
    left.yaxis.set_major_formatter("{x:.1%}")
    right.set(yscale="log", xlabel="ratio", ylabel="speed-up over dense, same backend", title="Speed-up")
    right.legend(fontsize=7)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)

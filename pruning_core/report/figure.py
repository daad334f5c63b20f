"""The report as a figure for a README: score against latency, and speed-up against ratio.

Needs the extra `figures` (matplotlib).
"""

import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning_core.console.escaping import printable
from pruning_core.console.shown import shortened
from pruning_core.errors import OptionError
from pruning_core.files.atomic import write_bytes_file
from pruning_core.files.extras import require_matplotlib
from pruning_core.records.fields import Record
from pruning_core.records.score import Measure, score_of
from pruning_core.report.run_index import BackendPrecision, RunIndex
from pruning_core.report.subject import Subject
from pruning_core.report.table import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

FIGURE_FORMATS = ("svg", "png")

COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9", "#882255", "#4D4D4D"),
    *("#E69F00", "#5A3FC0", "#7FA800"),
)
"""Okabe and Ito's palette and three more; a backend has a mark of its own beside, for the colour-blind."""

LINES = ("-", "--", "-.", ":")
IDEAL: dict[str, Any] = {"color": "#777777", "lw": 0.8, "ls": (0, (1, 1)), "label": "MAC reduction"}
MARKS = "os^DvPX*<>"
"""One fewer than colours, so that a pair comes back only when both have gone round."""

MAX_LABEL, MAX_LINE, MAX_LINES = 60, 220, 10
"""Characters of a legend's label and of a line of the title, and how many lines there is room for."""

DRAWING: dict[Any, Any] = {
    "svg.hashsalt": "pruning-bench",
    "font.size": 9,
    "text.parse_math": False,  # names are shown as they are: `$`, `_` and `^` mean nothing in them
    "text.usetex": False,
}


@dataclass(frozen=True)
class _Series:
    """What has a line style of its own: one method of one file."""

    index: RunIndex
    subject: Subject
    device: str
    name: str


def draw_figure(report: Report, path: Path, format: str) -> None:
    """Draw the first model, dataset and device that was timed, at its largest batch size, by every method.

    Args:
        report: What `build_report` made.
        path: Where to.
        format: `svg` or `png`.

    Raises:
        OptionError: If matplotlib is not installed, nothing was timed, or the file cannot be written.
    """
    require_matplotlib()
    batch_size, all_series = _what_to_draw(report)
    # Where the home folder cannot be written, it says so, and that a font has not got a letter.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context(DRAWING), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that the font lacks, a legend without room
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
        backends = list(
            dict.fromkeys(
                b for series in all_series for b in series.index.backends(series.subject, series.device)
            )
        )
        for number, series in enumerate(all_series):
            ideal: dict[float, float] = {}
            for backend in series.index.backends(series.subject, series.device):
                records = _timed(series, backend, batch_size)
                style = _mark_of(backends.index(backend)) | _line_of(number)
                _draw_score(left, records, style)
                _draw_speedup(right, [r for r in records if r.get("ratio")], style)
                ideal |= {
                    r["ratio"]: r["mac_reduction"] for r in records if "mac_reduction" in r and r["ratio"]
                }
            right.plot(sorted(ideal), [ideal[ratio] for ratio in sorted(ideal)], **IDEAL)
        first = all_series[0]
        _finish(left, right, first.subject.measure)
        _explain(right, backends, all_series)
        methods = " and ".join(dict.fromkeys(series.subject.method for series in all_series))
        facts = [
            f"{f'{series.index.file}: ' if len(report.files) > 1 else ''}{series.index.provenance()}"
            for series in all_series
        ]
        what = f"{first.subject.network_title}, {methods}, {first.device}, batch {batch_size}"
        lines = [shortened(printable(line), MAX_LINE) for line in dict.fromkeys([what, *facts])]
        figure.suptitle("\n".join(lines[:MAX_LINES]), fontsize=8)
        figure.tight_layout()
        buffer = io.BytesIO()
        figure.savefig(buffer, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
        plt.close(figure)
    write_bytes_file(path, buffer.getvalue())


def _what_to_draw(report: Report) -> tuple[int, list[_Series]]:
    """Return the largest batch size of the first that was timed, and all that was timed like it."""
    targets = [target for target in _targets(report) if target[0].batch_sizes(target[1], target[2])]
    if not targets:
        raise OptionError("nothing to draw: these files hold no latency records")
    first, subject, device = targets[0]
    batch_size = first.batch_sizes(subject, device)[-1]
    alike = [
        (index, other)
        for index, other, its_device in targets
        if (other.network, its_device) == (subject.network, device)
        and batch_size in index.batch_sizes(other, its_device)
    ]
    methods = [other.method for _, other in alike]
    return batch_size, [
        _Series(
            index,
            other,
            device,
            other.method if methods.count(other.method) == 1 else f"{other.method}, {index.file}",
        )
        for index, other in alike
    ]


def _timed(series: _Series, backend: BackendPrecision, batch_size: int) -> list[Record]:
    ratios = series.index.ratios(series.subject, series.device)
    found = (
        series.index.latency(series.subject, ratio, backend, series.device, batch_size) for ratio in ratios
    )
    return [record for record in found if record and "latency_ms" in record]


def _targets(report: Report) -> Iterator[tuple[RunIndex, Subject, str]]:
    for index in report.files:
        for subject in index.subjects():
            for device in index.devices(subject):
                yield index, subject, device


def _mark_of(number: int) -> dict[str, Any]:
    """Return how the points of a backend look; their intervals are faint, so that marks stand out."""
    colour = COLOURS[number % len(COLOURS)]
    return {"color": colour, "ecolor": f"{colour}66", "marker": MARKS[number % len(MARKS)]}


def _line_of(number: int) -> dict[str, Any]:
    """Return how the lines of a method look; the points of the first are filled, those of all others open."""
    return {"ls": LINES[number % len(LINES)]} | ({"mfc": "white"} if number else {})


def _draw_score(axis: "Axes", records: Sequence[Record], style: dict[str, Any]) -> None:
    scored = [(record, score) for record in records if (score := score_of(record))]
    if not scored:
        return
    x, y = [record["latency_ms"] for record, _ in scored], [score.value for _, score in scored]
    beside = _error_bars([r for r, _ in scored], "latency_ms", "latency_low_ms", "latency_high_ms")
    above = _reach([(s.value, s.low, s.high) for _, s in scored])
    axis.errorbar(x, y, yerr=above, xerr=beside, lw=0.8, ms=6, elinewidth=0.8, **style)


def _draw_speedup(axis: "Axes", records: Sequence[Record], style: dict[str, Any]) -> None:
    if not records:
        return
    x, y = [r["ratio"] for r in records], [r["speedup"] for r in records]
    bounds = _error_bars(records, "speedup", "speedup_low", "speedup_high")
    axis.errorbar(x, y, yerr=bounds, lw=1, ms=6, elinewidth=0.8, **style)


def _error_bars(records: Sequence[Record], value: str, low: str, high: str) -> list[list[float]]:
    return _reach([(r[value], r[low], r[high]) for r in records])


def _reach(bounded: Sequence[tuple[float, float | None, float | None]]) -> list[list[float]]:
    """Return how far each interval reaches below and above its value, never less than nothing."""
    return [
        [0.0 if low is None else max(0.0, value - low) for value, low, _ in bounded],
        [0.0 if high is None else max(0.0, high - value) for value, _, high in bounded],
    ]


def _finish(left: "Axes", right: "Axes", measure: Measure) -> None:
    direction = "" if measure.is_accuracy else f" ({measure.direction})"
    label, title = (shortened(printable(name), MAX_LABEL) for name in (measure.name, measure.title))
    left.set(xscale="log", xlabel="latency of a call, ms", ylabel=label + direction)
    left.set_title(f"{title} and latency")
    if measure.is_accuracy:
        left.yaxis.set_major_formatter("{x:.1%}")
    right.set(yscale="log", xlabel="ratio", ylabel="speed-up over dense, same backend", title="Speed-up")
    _label_plainly(left.xaxis)
    _label_plainly(right.yaxis)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)


def _label_plainly(axis: "Axis") -> None:
    """Label a logarithmic axis by plain numbers, as many as there is room for: matplotlib's own overlap."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1, 3) if decades < 3.5 else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _explain(axis: "Axes", backends: Sequence[BackendPrecision], all_series: Sequence[_Series]) -> None:
    """Draw the legend: colours and marks are backends, lines are methods where there are several."""
    from matplotlib.lines import Line2D

    labels = [" ".join(name) for name in backends]
    marks = [_mark_of(number) for number, _ in enumerate(backends)]
    entries = [Line2D([], [], ms=5, color=m["color"], marker=m["marker"], ls="") for m in marks]
    if len(all_series) > 1:
        labels += [series.name for series in all_series]
        entries += [
            Line2D([], [], color="black", marker="o", ms=5, lw=0.8, **_line_of(number))
            for number, _ in enumerate(all_series)
        ]
    labels.append(IDEAL["label"])
    entries.append(Line2D([], [], **IDEAL))
    # Put in afterwards: what begins with an underscore would be left out of the legend.
    legend = axis.legend(entries, ["."] * len(entries), fontsize=7, framealpha=0.6)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(shortened(printable(label), MAX_LABEL))

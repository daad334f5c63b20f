"""Both methods in one figure: how far each of them is off, trial by trial, and how often it says so.

Needs the extra `figures` (matplotlib).
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pruning_core.errors import OptionError
from pruning_core.files.atomic import write_bytes_file
from pruning_core.files.extras import require_matplotlib
from pruning_core.selftest.latency_summary import TrialGroup

# Blue and orange of Okabe and Ito's palette: told apart by the colour-blind and in grey.
PAIRED, SEQUENTIAL = "#0072B2", "#D55E00"


DRAWING: dict[Any, Any] = {
    "svg.hashsalt": "pruning-bench",
    "font.size": 9,
    "text.parse_math": False,
    "text.usetex": False,
}
"""Names are shown as they are: `$`, `_` and `^` mean nothing in them."""

FORMATS = (".svg", ".png", ".pdf")


def check_figure_file(path: Path) -> None:
    """Find out before long work whether a figure can be drawn after it.

    Raises:
        OptionError: If matplotlib is not installed, or cannot write such a file.
    """
    if path.suffix not in FORMATS:
        raise OptionError(f"no figure format {path.suffix!r}; allowed: {', '.join(FORMATS)}")
    require_matplotlib()


def draw_groups(groups: Sequence[TrialGroup], path: Path, title: str) -> None:
    """Draw a panel for each kind of trials.

    Each dot is a trial: what it found, in percent slower; the shaded band is the tolerance, the line the
    truth. Dots outside of the band by more than their interval are verdicts.

    Args:
        groups: At least one.
        path: `.svg`, `.png` or `.pdf`.
        title: Machine and versions.

    Raises:
        OptionError: If the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context(DRAWING), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that the font lacks, a legend without room
        figure, axes = plt.subplots(
            1, len(groups), figsize=(2.6 * len(groups) + 0.6, 4.2), sharey=True, squeeze=False
        )
        found = [100 * (t.slowdown - 1) for g in groups for t in g.trials]
        found += [100 * (t.sequential_slowdown - 1) for g in groups for t in g.trials]
        limit = max(15.0, float(np.quantile(np.abs(found), 0.98)))
        for axis, group in zip(axes[0], groups, strict=True):
            _draw_panel(axis, group, limit)
        axes[0][0].set_ylabel("found: candidate slower by, %")
        figure.suptitle(title, fontsize=9)
        figure.tight_layout()
        buffer = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=metadata)
        plt.close(figure)
    write_bytes_file(path, buffer.getvalue())


def _draw_panel(axis: object, group: TrialGroup, limit: float) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    tolerance = 100 * group.tolerance
    axis.axhspan(-100 * (1 - 1 / (1 + group.tolerance)), tolerance, color="#999999", alpha=0.25, lw=0)
    axis.axhline(100 * group.injected_slowdown, color="black", lw=0.8, ls="--")
    spread = np.random.default_rng(0).uniform(-0.28, 0.28, len(group.trials))
    columns = (
        (0, PAIRED, [t.slowdown for t in group.trials], group.rate(lambda t: t.verdict), "o"),
        (
            1,
            SEQUENTIAL,
            [t.sequential_slowdown for t in group.trials],
            group.rate(lambda t: t.sequential_verdict),
            "^",
        ),
    )
    word = "found" if group.injected_slowdown else "false"
    for x, colour, slowdowns, rate, marker in columns:
        values = 100 * (np.asarray(slowdowns) - 1)
        shown = np.clip(values, -limit, limit)
        axis.scatter(x + spread, shown, s=9, color=colour, marker=marker, alpha=0.6, lw=0)
        axis.text(
            x, limit * 1.06, f"{rate.count} of {rate.n}\n{word}", ha="center", va="bottom", color=colour
        )
    axis.set_xticks([0, 1], ["paired", "sequential\nmean"])
    axis.set_xlim(-0.5, 1.5)
    axis.set_ylim(-limit * 1.05, limit * 1.05)
    axis.set_title(f"{group.title}\n{group.tolerance:.0%} tolerated", fontsize=9, pad=30)
    axis.spines[["top", "right"]].set_visible(False)

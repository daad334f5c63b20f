"""How a number is printed: rounded, in the unit that its column's heading or the cell itself names.

One place for all formats that people read, so that the terminal and Markdown cannot disagree. CSV and
JSON carry exact numbers.
"""

from collections.abc import Callable
from typing import Any

from pruning_core.records.score import score_text
from pruning_core.report.estimate import Estimate

ABSENT = "–"


def number_text(value: Any, kind: str) -> tuple[str, str]:
    """Print a value of a table.

    Args:
        value: A number, a text, an `Estimate`, or None where there is nothing.
        kind: A key of `FORMATS`.

    Returns:
        The number, and its interval `low–high`; empty where there is none.
    """
    if value is None:
        return ABSENT, ""
    if kind == "score":
        return _score_texts(value if isinstance(value, Estimate) else Estimate(value))
    format_number = FORMATS[kind]
    if not isinstance(value, Estimate):
        return format_number(value), ""
    between = " to " if kind == "points" else "–"  # signs beside a dash cannot be read
    interval = (
        ""
        if value.low is None or value.high is None
        else f"{format_number(value.low)}{between}{format_number(value.high)}"
    )
    return format_number(value.value), interval


def _score_texts(score: Estimate) -> tuple[str, str]:
    """Print a score and its interval with the same decimals."""
    low, high = score.low, score.high
    number = score_text(score.value, low, high)
    if low is None or high is None:
        return number, ""
    between = " to " if low < 0 else "–"
    return number, between.join(score_text(bound, score.value, low, high) for bound in (low, high))


def macs_text(macs: int) -> str:
    """Print multiply-adds in G as the tutorial does, in M or k where that would say 0.00."""
    return _scaled(macs, ((1e9, "G"), (1e6, "M"), (1e3, "k")))


def params_text(params: int) -> str:
    """Print parameters in M as the tutorial does, in k where that would say 0.00."""
    return _scaled(params, ((1e6, "M"), (1e3, "k")))


def bytes_text(size_bytes: int) -> str:
    """Print bytes in MB (10⁶ bytes), or kB."""
    return _scaled(size_bytes, ((1e6, "MB"), (1e3, "kB")))


def _scaled(count: int, units: tuple[tuple[float, str], ...]) -> str:
    for factor, unit in units:
        if count / factor >= 0.005:
            return f"{count / factor:.2f} {unit}"
    return str(count)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) == value and value else f"{value:g}" if value else "dense"


def _milliseconds(value: float) -> str:
    # Two digits behind the point as the tutorial has, more where they would say nothing.
    digits = 1 if value >= 100 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f}"


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


FORMATS: dict[str, Callable[..., str]] = {
    "text": str,
    "count": str,
    "ratio": _ratio,
    "macs": macs_text,
    "params": params_text,
    "bytes": bytes_text,
    "billions": lambda count: f"{count / 1e9:.2f}",
    "millions": lambda count: f"{count / 1e6:.2f}",
    "percent": lambda fraction: f"{100 * fraction:.2f}",
    "points": lambda fraction: f"{100 * fraction:+.2f}",
    "score": score_text,
    "ms": _milliseconds,
    "factor": _factor,
    "share": lambda fraction: f"{100 * fraction:.0f}",
    "rate": lambda per_second: f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.1f}",
}
"""Kind of a column → how its numbers are printed."""

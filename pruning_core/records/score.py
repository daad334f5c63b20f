"""How good a network is, one object for every task: the accuracy of a classification, or another score.

Gate, report, page and figure read scores through here alone, so that nothing there has a task built in.
Must not import torch.
"""

import math
from dataclasses import dataclass

from pruning_core.records.fields import HIGHER, LOWER, Record

_DIGITS = 4
"""Significant digits of a score, where its interval asks for no more."""

_MAX_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Measure:
    """What is scored: its name, and which values are the better ones."""

    name: str
    better: str = HIGHER
    is_accuracy: bool = False  # of a classification: a fraction of images, shown in percent

    @property
    def lower_is_better(self) -> bool:
        """Whether a network is the better the lower its score is."""
        return self.better == LOWER

    @property
    def direction(self) -> str:
        """Which values are better, in words."""
        return f"{self.better} is better"

    @property
    def title(self) -> str:
        """The name as it begins a sentence; capitals within it stay."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def heading(self) -> str:
        """The name as a table's heading: in percent, or with an arrow that points to the better values."""
        return f"{self.name} %" if self.is_accuracy else f"{self.name} {self.arrow}"

    @property
    def brackets(self) -> str:
        """The name and its arrow in brackets, to stand behind a network's; empty for an accuracy."""
        return "" if self.is_accuracy else f" ({self.name} {self.arrow})"

    @property
    def arrow(self) -> str:
        """An arrow that points to the better values."""
        return "↓" if self.lower_is_better else "↑"

    def text(self, value: float, *beside: float | None) -> str:
        """Print a score; an accuracy in percent.

        Args:
            value: Of this measure.
            beside: Others that it is shown with, such as its bounds: then all have the same decimals.
        """
        return f"{value:.2%}" if self.is_accuracy else score_text(value, *beside)

    def worse_by(self, before: float, now: float) -> float:
        """Return how much worse `now` is than `before`; positive is worse, whichever direction is better."""
        return now - before if self.lower_is_better else before - now


ACCURACY = Measure("accuracy", HIGHER, is_accuracy=True)


@dataclass(frozen=True, slots=True)
class Score:
    """How good a network is on its test examples."""

    measure: Measure
    value: float
    low: float | None = None  # 95 %, where the task has a value for each example
    high: float | None = None
    n: int | None = None  # examples
    dense: float | None = None  # of the dense model on the same backend and precision
    drop: float | None = None  # how much worse than dense; positive is worse
    drop_low: float | None = None  # 95 %, from pairs
    drop_high: float | None = None
    pruned: float | None = None  # before fine-tuning

    @property
    def text(self) -> str:
        """The score as it is read, with its decimals from its interval."""
        return self.measure.text(self.value, self.low, self.high)


def measure_of(record: Record) -> Measure | None:
    """Return what a record's score is of; None where it has none."""
    if "accuracy" in record:
        return ACCURACY
    if "score" in record:
        return Measure(record["score_name"], record["score_better"])
    return None


def score_of(record: Record | None) -> Score | None:
    """Return the score in a record of any task; None where it has none."""
    measure = measure_of(record) if record else None
    if record is None or measure is None:
        return None
    if measure.is_accuracy:
        return Score(
            measure,
            record["accuracy"],
            record.get("accuracy_low"),
            record.get("accuracy_high"),
            record.get("accuracy_n"),
            dense=record.get("dense_accuracy"),
            drop=record.get("accuracy_drop"),
            pruned=record.get("accuracy_pruned"),
        )
    rest = ("low", "high", "n", "dense", "drop", "drop_low", "drop_high", "pruned")
    return Score(measure, record["score"], *(record.get(f"score_{name}") for name in rest))


def score_text(value: float, *beside: float | None) -> str:
    """Print a score with four significant digits, or as many as tell it from the numbers beside it."""
    numbers = [value, *(number for number in beside if number is not None)]
    largest = max(map(abs, numbers))
    if largest == 0 or not math.isfinite(largest):
        return f"{value:g}"
    decimals = _DIGITS - 1 - math.floor(math.log10(largest))
    width = max(numbers) - min(numbers)
    if width > 0:  # two digits of an interval
        decimals = max(decimals, 1 - math.floor(math.log10(width)))
    if largest >= 1e9 or decimals > _MAX_DECIMALS:
        return f"{value:.{_DIGITS - 1}e}"
    return f"{value:,.{max(decimals, 0)}f}"


def misplaced_limit(limit: str, measure: Measure) -> str | None:
    """Say why a limit does not fit a score, and which one does; None where it fits.

    Args:
        limit: `min_accuracy`, `max_accuracy_drop`, `min_score`, `max_score` or `max_score_drop`.
        measure: What is scored.
    """
    kind = "drop" if limit.endswith("drop") else "max" if measure.lower_is_better else "min"
    if measure.is_accuracy:
        right = "max_accuracy_drop" if kind == "drop" else "min_accuracy"
    else:
        right = "max_score_drop" if kind == "drop" else f"{kind}_score"
    if limit == right:
        return None
    about = "accuracy, a classification's" if measure.is_accuracy else f"{measure.name}, {measure.direction}"
    return f"{limit} does not fit the score here ({about}): use {right}"

"""`bench/thresholds.toml`: the score that a suite demands of a cell; the gate compares runs instead."""

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from pruning_core.config.cells import Variant, short_name
from pruning_core.config.option_lines import option_line
from pruning_core.config.precision import PRECISIONS
from pruning_core.config.validation import StrictModel, lines_of
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.toml import read_toml
from pruning_core.records.score import Measure, Score, misplaced_limit

MAX_ENTRIES = 1000

_KEY = "key {} in a [[threshold]]"

LIMITS = ("min_accuracy", "max_accuracy_drop", "min_score", "max_score", "max_score_drop")
"""Keys that limit a score."""

Pattern = Annotated[str, Field(max_length=1000)]


class Threshold(StrictModel):
    """Limits for the cells that match all its patterns; patterns are those of file names (`*`, `?`)."""

    dataset: Pattern = Field("*", description="Pattern for the dataset's label, for example folder-cifar10.")
    model: Pattern = "*"
    method: Pattern = Field("*", description="Pattern; the unpruned network has the method dense.")
    backend: Pattern = "*"
    precision: Pattern = "*"
    up_to_ratio: float = Field(1.0, ge=0, le=1, description="Cells of a higher ratio do not match.")
    min_accuracy: float = Field(0.0, ge=0, le=1, description="Lowest accuracy that passes, fraction.")
    max_accuracy_drop: float = Field(1.0, ge=0, le=1, description="Largest loss against dense, fraction.")
    min_score: float | None = Field(
        None, ge=-1e30, le=1e30, description="Of another task, where higher is better: lowest that passes."
    )
    max_score: float | None = Field(
        None, ge=-1e30, le=1e30, description="Where lower is better: highest that passes."
    )
    max_score_drop: float | None = Field(
        None, ge=0, le=1e30, description="How much worse than dense passes, in the score's own unit."
    )
    min_agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least fraction of predictions that are those of eager fp32; by precision otherwise.",
    )

    @property
    def set_limits(self) -> list[str]:
        """The limits of a score that differ from their defaults."""
        defaults = Threshold.model_fields
        return [name for name in LIMITS if getattr(self, name) != defaults[name].default]


@dataclass(frozen=True)
class Thresholds:
    """All thresholds of a file; the first that matches a cell counts."""

    entries: tuple[Threshold, ...]

    def find(self, variant: Variant, backend: str, precision: str) -> Threshold | None:
        """Return the first threshold that matches, or None: then nothing is asserted about scores."""
        for entry in self.entries:
            names = (
                (variant.label, entry.dataset),
                (short_name(variant.model), entry.model),
                (variant.method, entry.method),
                (backend, entry.backend),
                (precision, entry.precision),
            )
            if variant.ratio <= entry.up_to_ratio and all(
                fnmatchcase(name, pattern) for name, pattern in names
            ):
                return entry
        return None


def min_agreement(threshold: Threshold | None, precision: str) -> float:
    """Return the least fraction of test images that must be predicted as by eager fp32."""
    if threshold is not None and threshold.min_agreement is not None:
        return threshold.min_agreement
    return PRECISIONS[precision].min_agreement


def check_score(threshold: Threshold | None, score: Score) -> str | None:
    """Say what a threshold finds wrong with a score, or how it does not fit it; None where it passes.

    Args:
        threshold: That of the cell; None: nothing is asserted.
        score: Of the cell, with its drop below dense.
    """
    if threshold is None:
        return None
    for name in threshold.set_limits:
        if problem := misplaced_limit(name, score.measure):
            return f"{problem} in the [[threshold]] of this cell"
    measure, value, drop = score.measure, score.value, score.drop
    if measure.is_accuracy:
        return _check_accuracy(threshold, score)
    name = measure.name
    if threshold.min_score is not None and not value >= threshold.min_score:
        return f"{name} {score.text} is below min_score, {threshold.min_score:g}"
    if threshold.max_score is not None and not value <= threshold.max_score:
        return f"{name} {score.text} is above max_score, {threshold.max_score:g}"
    if threshold.max_score_drop is not None and (drop is None or not drop <= threshold.max_score_drop):
        by = "an unknown amount" if drop is None else f"{drop:.4g}"
        return f"{name} is by {by} worse than dense; max_score_drop allows {threshold.max_score_drop:g}"
    return None


def limit_fields(threshold: Threshold | None, measure: Measure) -> dict[str, Any]:
    """Return the limits of a cell as its record has them: those that fit what is scored.

    Args:
        threshold: That of the cell; None: it has none.
        measure: What is scored.
    """
    fitting = [name for name in LIMITS if threshold is not None and not misplaced_limit(name, measure)]
    return {name: limit for name in fitting if (limit := getattr(threshold, name)) is not None}


def _check_accuracy(threshold: Threshold, score: Score) -> str | None:
    accuracy, drop = score.value, score.drop
    if not accuracy >= threshold.min_accuracy:
        return f"accuracy {accuracy:.4f} is below its floor {threshold.min_accuracy:.4f}"
    if drop is None or not drop <= threshold.max_accuracy_drop:
        if drop is None and threshold.max_accuracy_drop == 1:
            return None
        by = "an unknown amount" if drop is None else f"{drop:.4f}"
        return f"accuracy is {by} below dense, more than the allowed {threshold.max_accuracy_drop:.4f}"
    return None


def read_thresholds(path: Path) -> Thresholds:
    """Read a file of `[[threshold]]` tables.

    Raises:
        OptionError: If it cannot be read, is not valid TOML, or has an invalid value.
    """
    file = read_toml(path, "thresholds")
    content = file.content
    for name in content:
        if name != "threshold" or not isinstance(content[name], list):
            close = name != "threshold" and difflib.get_close_matches(name[:60], ["threshold"])
            hint = " Did you mean 'threshold'?" if close else ""
            if name == "threshold":
                hint = " Write it with two brackets on each side"
            raise OptionError(
                f"thresholds {path}: only [[threshold]] tables are allowed; got {shown(name)}.{hint}"
            )
    if len(content.get("threshold", [])) > MAX_ENTRIES:
        raise OptionError(f"thresholds {path}: at most {MAX_ENTRIES} [[threshold]] tables are read")
    entries = []
    for index, table in enumerate(content.get("threshold", [])):
        try:
            entries.append(Threshold.model_validate(table))
        except ValidationError as error:
            line = file.line_of("threshold", index)
            where = f"thresholds {path}{f', line {line}' if line else ''}, [[threshold]] number {index + 1}"
            raise OptionError(lines_of(error, partial(_line_of, where))) from None
    return Thresholds(tuple(entries))


def _line_of(where: str, item: Any) -> str:
    return f"{where}: {option_line(item, Threshold, _KEY)}"

"""`bench/thresholds.toml`: the accuracy that a suite demands of a cell; the gate compares runs instead."""

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from pruning_core.config.cells import Variant, short_name
from pruning_core.config.precision import PRECISIONS
from pruning_core.config.validation import StrictModel, option_error
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.toml import read_toml

MAX_ENTRIES = 1000

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
    min_agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least fraction of predictions that are those of eager fp32; by precision otherwise.",
    )


@dataclass(frozen=True)
class Thresholds:
    """All thresholds of a file; the first that matches a cell counts."""

    entries: tuple[Threshold, ...]

    def find(self, variant: Variant, backend: str, precision: str) -> Threshold | None:
        """Return the first threshold that matches, or None: then nothing is asserted about accuracy."""
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


def read_thresholds(path: Path) -> Thresholds:
    """Read a file of `[[threshold]]` tables.

    Raises:
        OptionError: If it cannot be read, is not valid TOML, or has an invalid value.
    """
    file = read_toml(path, "thresholds")
    content = file.content
    for name in content:
        if name != "threshold" or not isinstance(content[name], list):
            close = difflib.get_close_matches(name[:60], ["threshold"])
            hint = " Did you mean 'threshold'?" if close else ""
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
            raise option_error(error, where) from None
    return Thresholds(tuple(entries))

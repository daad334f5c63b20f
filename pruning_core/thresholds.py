"""`bench/thresholds.toml`: the least accuracy, and the largest loss of it, that a suite lets pass.

Not for: judging one run against another; that is the gate's.
"""

import difflib
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, ValidationError

from pruning_core.cells import Variant, label_of
from pruning_core.errors import OptionError
from pruning_core.spec import Frozen, explain

LEAST_AGREEMENT = {"fp32": 0.995, "fp16": 0.98, "bf16": 0.98, "int8": 0.95}
"""Test images that must get the same answer as from eager fp32, where thresholds.toml says nothing else.

What rounding may decide, and one image of a few hundred. Below that a backend runs another network, or one
that is broken: its speed would be no speed.
"""


class Threshold(Frozen):
    """Limits for the cells that match all its patterns; patterns are those of file names (`*`, `?`)."""

    dataset: str = Field("*", description="Pattern for the dataset's label, for example folder-cifar10.")
    model: str = "*"
    method: str = Field("*", description="Pattern; the unpruned network has the method dense.")
    backend: str = "*"
    precision: str = "*"
    up_to_ratio: float = Field(1.0, ge=0, le=1, description="Cells of a higher ratio do not match.")
    floor: float = Field(0.0, ge=0, le=1, description="Least accuracy, fraction.")
    allowed_drop: float = Field(1.0, ge=0, le=1, description="Largest loss against dense, fraction.")
    least_agreement: float | None = Field(
        None, ge=0, le=1, description="Least fraction of answers as eager fp32 gives; by precision otherwise."
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
                (label_of(variant.model), entry.model),
                (variant.method, entry.method),
                (backend, entry.backend),
                (precision, entry.precision),
            )
            if variant.ratio <= entry.up_to_ratio and all(
                fnmatchcase(name, pattern) for name, pattern in names
            ):
                return entry
        return None


def least_agreement(threshold: Threshold | None, precision: str) -> float:
    """Return the least fraction of test images that must get the same answer as from eager fp32."""
    if threshold is not None and threshold.least_agreement is not None:
        return threshold.least_agreement
    return LEAST_AGREEMENT[precision]


def read_thresholds(path: Path) -> Thresholds:
    """Read a file of `[[threshold]]` tables.

    Raises:
        OptionError: If it cannot be read, is no TOML, or says something that cannot be.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read thresholds {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"thresholds {path} are no TOML: {error}") from None
    for name in content:
        if name != "threshold" or not isinstance(content[name], list):
            hint = " Did you mean 'threshold'?" if difflib.get_close_matches(name, ["threshold"]) else ""
            raise OptionError(
                f"thresholds {path}: only [[threshold]] tables are allowed; came {name!r}.{hint}"
            )
    entries = []
    for number, table in enumerate(content.get("threshold", []), start=1):
        try:
            entries.append(Threshold.model_validate(table))
        except ValidationError as error:
            raise explain(error, f"thresholds {path}, [[threshold]] number {number}") from None
    return Thresholds(tuple(entries))

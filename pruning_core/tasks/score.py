"""A score: what a user's task says of a network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from pruning_core.errors import TaskError
from pruning_core.stats.bootstrap import bootstrap_interval, paired_bootstrap_interval

MAX_NAME = 60
"""Characters of a score's name: it heads columns."""

_ROUNDED = 1e-6


@dataclass(frozen=True)
class Score:
    """How good a network is, over all test examples.

    Without `values` a score has no interval. With them it is their mean.
    """

    name: str
    """What it is, for tables: `mean IoU`."""

    better: Literal["higher", "lower"]
    value: float
    values: Sequence[float] | None = None
    """One for each example, in the same order at every call: they are compared in pairs."""

    def __post_init__(self) -> None:
        """Refuse what is no score.

        Raises:
            TaskError: In one line.
        """
        if not isinstance(self.name, str) or not 0 < len(self.name.strip()) <= MAX_NAME:
            raise TaskError(f"a score's name must be a text of 1 to {MAX_NAME} characters; got {self.name!r}")
        if self.better not in ("higher", "lower"):
            raise TaskError(f'score {self.name!r}: better must be "higher" or "lower"; got {self.better!r}')
        object.__setattr__(self, "value", self._number(self.value, "value"))
        if self.values is None:
            return
        try:
            values = torch.as_tensor(self.values, dtype=torch.float64).detach().cpu().numpy()
        except (TypeError, ValueError, RuntimeError):
            raise TaskError(
                f"score {self.name!r}: values must be numbers, one for each example; "
                f"got {type(self.values).__name__}"
            ) from None
        if values.ndim != 1 or not len(values):
            raise TaskError(
                f"score {self.name!r}: values must be one number for each example; got {values.shape}"
            )
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            raise TaskError(
                f"score {self.name!r}: values must be finite; that of example {first} is {values[first]}"
            )
        mean = float(values.mean())
        if abs(mean - self.value) > _ROUNDED * max(1.0, abs(mean), float(np.abs(values).max())):
            raise TaskError(
                f"score {self.name!r}: its value is {self.value:g} and the mean of its values {mean:g}; "
                "give values whose mean it is, or none: their interval would be of something else"
            )
        object.__setattr__(self, "value", mean)  # not rounded to float32
        object.__setattr__(self, "values", tuple(values.tolist()))

    def _number(self, value: Any, what: str) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise TaskError(
                f"score {self.name!r}: {what} must be a number; got {type(value).__name__}"
            ) from None
        if not math.isfinite(number) or abs(number) > 1e30:
            raise TaskError(f"score {self.name!r}: {what} must be finite; got {number:g}")
        return number

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper bound, 95 %, where there are values."""
        return None if self.values is None else bootstrap_interval(self.values)

    def drop_from(self, dense: "Score") -> float:
        """Return how much worse this is than a dense model's; positive is worse, whatever is better."""
        worse = dense.value - self.value if self.better == "higher" else self.value - dense.value
        return worse + 0.0  # no −0

    def drop_interval(self, dense: "Score") -> tuple[float, float] | None:
        """Return bounds of the drop, by pairs of examples, where both have a value for each."""
        if self.values is None or dense.values is None or len(self.values) != len(dense.values):
            return None
        first, second = (dense, self) if self.better == "higher" else (self, dense)
        return paired_bootstrap_interval(first.values or (), second.values or ())

"""Time of a network of any widths, from times of some: a weight takes as much of its time as is kept of it.

    time(widths) = base + Σ over weights: time when dense × kept share of inputs × kept share of outputs

The times are fitted to networks that were measured as wholes. Differences of single groups cannot be added:
two groups that meet in one layer save its time once. Tables of single layers miss what a whole network does
to the cache (`results/latency-aware/README.md`: both were tried).

Source: Berman et al., "AOWS: Adaptive and Optimal Network Width Search with Latency Constraints", CVPR 2020.
"""

from collections.abc import Sequence
from functools import cached_property
from statistics import median

import numpy as np
from pydantic import Field

from pruning_core.config.validation import StrictModel

PRIOR_WEIGHT = 0.03
"""How much a weight's share of the multiply-adds counts beside what was measured: it decides ties."""

SWEEPS = 2000


class Dimension(StrictModel):
    """One dimension of a weight: how long it is, and how it follows the widths of groups."""

    dense: int = Field(ge=1)
    follows: tuple[tuple[int, float], ...] = Field(description="(group, elements for each of its channels)")


class Weight(StrictModel):
    """A weight of two or more dimensions, of which some follow groups."""

    kind: int = Field(ge=0, description="Weights of one shape, used on maps of one size, have one time.")
    macs: float = Field(ge=0, description="Multiply-adds on one example, dense.")
    dimensions: tuple[Dimension, ...]


class WholeTime(StrictModel):
    """A network that was measured."""

    widths: tuple[int, ...]
    measured: float = Field(gt=0, description="Time, relative to the dense network.")
    fitted: bool = Field(description="Else it was kept aside, to see how far the model is off.")


class GroupTimes(StrictModel):
    """The model: what is known of one network in one setting."""

    setting: str
    roots: tuple[str, ...] = Field(description="A layer of each group.")
    dense_widths: tuple[int, ...]
    weights: tuple[Weight, ...]
    dense_ms: float = Field(gt=0)
    wholes: tuple[WholeTime, ...]
    contention: str = Field("", description="What else ran on the machine meanwhile; empty: nothing.")

    def time_ms(self, widths: Sequence[int]) -> float:
        """Return the time of a network (see `TimeModel`)."""
        return float(self._relative(np.array([widths], dtype=float))[0]) * self.dense_ms

    def times_ms(self, widths: Sequence[int], group: int, options: Sequence[int]) -> list[float]:
        """Return the time with one group at each of several widths (see `TimeModel`)."""
        if not options:
            return []
        rows = np.tile(np.array(widths, dtype=float), (len(options), 1))  # (options, groups)
        rows[:, group] = options
        return [float(value) * self.dense_ms for value in self._relative(rows)]

    @property
    def errors(self) -> list[float]:
        """How far the model is off, in networks that it was not fitted to: predicted ÷ measured − 1."""
        aside = [whole for whole in self.wholes if not whole.fitted]
        return [self.time_ms(whole.widths) / self.dense_ms / whole.measured - 1 for whole in aside]

    @property
    def error_text(self) -> str:
        """The same in words."""
        if not self.errors:
            return "not checked: no network could be kept aside"
        sizes = [abs(error) for error in self.errors]
        return (
            f"off by {median(sizes):.1%} (at most {max(sizes):.1%}) in {len(sizes)} networks that it was not "
            "fitted to"
        )

    def _relative(self, rows: np.ndarray) -> np.ndarray:
        """Return the times of networks, (networks, groups) widths → (networks,), relative to dense."""
        result: np.ndarray = self._features(rows) @ self._coefficients
        return result

    def _features(self, rows: np.ndarray) -> np.ndarray:
        """Return (networks, 1 + kinds): 1, and for each kind the mean kept share of its weights."""
        kinds = 1 + max((weight.kind for weight in self.weights), default=-1)
        found = np.zeros((len(rows), 1 + kinds))
        found[:, 0] = 1.0
        counts = np.zeros(1 + kinds)
        for weight in self.weights:
            share = np.ones(len(rows))
            for dimension in weight.dimensions:
                gone = np.zeros(len(rows))
                for group, each in dimension.follows:
                    gone += each * (self.dense_widths[group] - rows[:, group])
                share *= np.clip(1 - gone / dimension.dense, 0.0, 1.0)
            found[:, 1 + weight.kind] += share
            counts[1 + weight.kind] += 1
        found[:, 1:] /= np.maximum(counts[1:], 1)
        return found

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """Fit base and times of the kinds, (1 + kinds,), none below 0: least squares of relative errors."""
        fitted = [whole for whole in self.wholes if whole.fitted]
        measured = np.array([whole.measured for whole in fitted])
        rows = self._features(np.array([whole.widths for whole in fitted], dtype=float)) / measured[:, None]
        kinds = rows.shape[1] - 1
        macs = np.zeros(kinds)
        for weight in self.weights:
            macs[weight.kind] += weight.macs
        prior = PRIOR_WEIGHT * np.eye(1 + kinds)[1:]
        shares = macs / macs.sum() if macs.sum() > 0 else np.full(kinds, 1 / max(kinds, 1))
        left = np.concatenate([rows, prior])
        right = np.concatenate([np.ones(len(rows)), PRIOR_WEIGHT * shares])
        return fit_nonnegative(left, right)


def fit_nonnegative(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x of no negative number with the least |left · x − right|²: one coordinate after another.

    Args:
        left: (equations, unknowns).
        right: (equations,).
    """
    products, target = left.T @ left, left.T @ right
    found = np.zeros(len(target))
    for _ in range(SWEEPS):
        before = found.copy()
        for index in range(len(found)):
            if products[index, index] > 0:
                step = (target[index] - products[index] @ found) / products[index, index]
                found[index] = max(0.0, found[index] + step)
        if np.abs(found - before).max() <= 1e-12 * max(1.0, float(np.abs(found).max())):
            break
    return found

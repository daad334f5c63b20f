"""How wide each group is to be: the least importance lost within a time. Numbers alone; no network here.

    choices of each group: width → importance lost      a model of the time: widths → ms
        │                                                   │
        └──────────── a knapsack, again and again, until the budget is met

The time that a group takes depends on the widths of its neighbours. So narrowing several saves less than each
alone, added; after a knapsack the costs are looked up again at the new widths, and it goes on from there.

Source: Shen et al., "Structural Pruning via Latency-Saliency Knapsack" (HALP), NeurIPS 2022; Yang et al.,
"NetAdapt", ECCV 2018.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pruning_core.errors import PruningError

BINS_PER_GROUP = 200
"""Into so many units for each group a knapsack divides its budget; costs are rounded up."""

ALIGNED = 8
"""Widths between its multiples are slower than their work says (`results/notes/widths-and-rounding.md`)."""

MAX_WIDTHS = 64
"""Of one group: of wider steps there are as many as of narrow ones."""

_ROUNDING = 1e-9

_MIN_SHARE = 1e-12
"""Nothing is left but rounding."""


@dataclass(frozen=True)
class Choices:
    """What one group may keep."""

    widths: tuple[int, ...]  # rising; the last is the dense one
    losses: tuple[float, ...]  # of importance at each, falling to 0


class TimeModel(Protocol):
    """Time of a network whose groups have any widths."""

    def time_ms(self, widths: Sequence[int]) -> float:
        """Return the time at one width a group."""
        ...

    def times_ms(self, widths: Sequence[int], group: int, options: Sequence[int]) -> list[float]:
        """Return the time with one group at each of several widths, and the others as they are."""
        ...


def possible_widths(dense: int, unit: int) -> tuple[int, ...]:
    """Return the widths that a group may have: few, and such that runtimes use well.

    Args:
        dense: Its channels.
        unit: Its width is a multiple of this.

    Returns:
        Multiples of the unit below `ALIGNED`, then of both; the dense width last.
    """
    if dense <= unit:
        return (dense,)
    step = int(np.lcm(ALIGNED, unit))
    step *= -(-dense // (step * MAX_WIDTHS))
    narrow = range(unit, min(step, dense), unit)
    return (*narrow[:: -(-len(narrow) // MAX_WIDTHS) or 1], *range(step, dense, step), dense)


def losses_of(
    scores: Sequence[float], sizes: Sequence[int], widths: Sequence[int], weight: float
) -> list[float]:
    """Return the importance that a group loses at each width: −ln of the share of squared norms that stays.

    Shares multiply from layer to layer, so their logarithms can be added, and compared between groups of any
    width and scale; the last channels of a group cost most. It is about LAMP's score, summed over what goes.
    A plain sum of norms, also relative to their mean, ends in groups of a few channels beside whole ones
    (`results/latency-aware/README.md`).

    Args:
        scores: Squared norms of sets of channels that can only go together, in any order.
        sizes: Channels in each set.
        widths: Rising; the last keeps all.
        weight: Layers whose outputs are cut: a cut of several costs as much in each.

    Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021.
    """
    norms = [score * size for score, size in zip(scores, sizes, strict=True)]
    if sum(norms) <= 0:  # all weights are 0: all alike
        norms = [float(size) for size in sizes]
    ranked = sorted(zip(scores, norms, sizes, strict=True))
    total = left = sum(norms)
    width = sum(sizes)
    lost_at = {width: 0.0}
    for _, norm, size in ranked[:-1]:  # one set always stays
        left -= norm
        width -= size
        lost_at[width] = -math.log(max(left / total, _MIN_SHARE))
    # Of sets of unlike sizes as many go as fit.
    return [weight * lost_at[min(at for at in lost_at if at >= width)] for width in widths]


def solve_knapsack(
    losses: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], budget: float, bins: int
) -> list[int] | None:
    """Choose one option of each group: the least loss in all, within a budget of costs in all.

    Args:
        losses: Of each option of each group.
        costs: Likewise, at least 0; rounded up to units of the budget.
        budget: At least 0.
        bins: Units of the budget.

    Returns:
        The number of the option of each group; None where even the cheapest are too much.
    """
    unit = budget / bins if budget > 0 else 1.0
    size = (bins if budget > 0 else 0) + 1
    best = np.zeros(size)  # (size,): least loss so far, by units that may be used
    chosen: list[np.ndarray] = []
    units = [[int(np.ceil(cost / unit - _ROUNDING)) for cost in of_group] for of_group in costs]
    for of_losses, of_units in zip(losses, units, strict=True):
        new = np.full(size, np.inf)
        choice = np.full(size, -1)
        for option, (loss, used) in enumerate(zip(of_losses, of_units, strict=True)):
            if used >= size:
                continue
            candidate = np.full(size, np.inf)
            candidate[used:] = best[: size - used] + loss
            better = candidate < new
            new[better], choice[better] = candidate[better], option
        best = new
        chosen.append(choice)
    if not np.isfinite(best[-1]):
        return None
    found, left = [], size - 1
    for choice, of_units in zip(reversed(chosen), reversed(units), strict=True):
        option = int(choice[left])
        found.append(option)
        left -= of_units[option]
    return found[::-1]


def allocate_widths(
    choices: Sequence[Choices], times: TimeModel, budget_ms: float, start: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the width of each group: the least importance lost, within a time by the model.

    Args:
        choices: Of each group.
        times: The model; narrower is never slower in it.
        budget_ms: Most time.
        start: Widths that are there already, which none may exceed; None: the dense ones.

    Raises:
        PruningError: If the network is slower than that at its narrowest.
    """
    widths = [choice.widths[-1] for choice in choices] if start is None else list(start)
    while (time_ms := times.time_ms(widths)) > budget_ms * (1 + _ROUNDING):
        options = [
            [*(number for number, option in enumerate(choice.widths) if option < width)]
            for choice, width in zip(choices, widths, strict=True)
        ]
        if not any(options):
            raise PruningError(
                f"latency-aware: no widths take {budget_ms:.3g} ms: the narrowest take {time_ms:.3g} ms"
            )
        widths = _narrower(choices, options, times, widths, time_ms, budget_ms)
    return tuple(widths)


def _narrower(
    choices: Sequence[Choices],
    options: Sequence[Sequence[int]],  # of each group, those that are narrower than it is
    times: TimeModel,
    widths: Sequence[int],
    time_ms: float,
    budget_ms: float,
) -> list[int]:
    """Return widths that save, each taken alone, as much time together as is asked for, or all there is."""
    losses, costs, offered, min_ms = [], [], [], time_ms
    for group, (choice, narrower, width) in enumerate(zip(choices, options, widths, strict=True)):
        offered.append([*(choice.widths[number] for number in narrower), width])
        present = _loss_at(choice, width)
        losses.append([*(choice.losses[number] - present for number in narrower), 0.0])
        alone_ms = [*times.times_ms(widths, group, offered[-1][:-1]), time_ms]
        cheapest = min(alone_ms)
        costs.append([ms - cheapest for ms in alone_ms])
        min_ms -= time_ms - cheapest
    found = solve_knapsack(losses, costs, max(budget_ms - min_ms, 0.0), BINS_PER_GROUP * len(choices))
    if found is None or all(offered[group][number] == widths[group] for group, number in enumerate(found)):
        found = [int(np.argmin(of_group)) for of_group in costs]  # that much cannot be saved
    return [of_group[number] for of_group, number in zip(offered, found, strict=True)]


def _loss_at(choice: Choices, width: int) -> float:
    """Return what is lost at a width that may be none of the choices."""
    return next(loss for option, loss in zip(choice.widths, choice.losses, strict=True) if option >= width)

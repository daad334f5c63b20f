"""Find the smallest ratio that reaches a goal, by few looks of many: each costs, and is noisy.

    a few ratios, spread   →   between the last that fails and the first that reaches it: the ratio where
    it is expected, or the middle   →   …   →   the ratios around the crossing once more, closely

It is a bisection that guesses: what is measured of a shape is taken to grow with the ratio, roughly. Where it
does not (a narrower layer can be slower), the ratio found still reaches the goal, since it was measured; it
need not be the smallest one that does. Goals share what was looked at.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

Look = TypeVar("Look")
"""What is known of a ratio once it was looked at."""

SPREAD = (0.3, 0.55, 0.75, 0.9)
"""Ratios looked at first, beside the last: the speed-up of many networks doubles from one to the next."""

MAX_STEPS = 20
"""More than a bisection of a thousand ratios takes."""

BESIDE_STEPS = 4
"""Looks beside the best ratio of a goal that none reaches: a wider shape may be faster than a narrower."""

MAX_CLOSE_STEPS = 4
"""How often a crossing that turns out to lie elsewhere is followed."""

_MIDDLE = (0.1, 0.9)
"""A guess beyond these fractions of what is between is moved there: each step must narrow it."""


@dataclass(frozen=True)
class Crossing(Generic[Look]):
    """What was found for one goal."""

    ratio: float
    look: Look
    reached: bool


@dataclass
class RatioSearch(Generic[Look]):
    """Looks at ratios for several goals at once.

    `ratios` are those that make a difference, rising, the first one 0 (dense). `look` returns what it found
    of each ratio, those left out that cannot be looked at; with True it looks closely.
    """

    ratios: Sequence[float]
    look: Callable[[Sequence[float], bool], Mapping[float, Look]]
    attained: Callable[[int, Look], float]  # number of a goal → how many times over it is reached; 1: just so
    goals: int
    noisy: bool  # looks are measurements: a crossing is looked at closely, and `close` is near enough
    close: float = 0.02
    allowed: float = 0.05  # fraction that may be missing after a close look, where noisy

    def __post_init__(self) -> None:
        """Begin with nothing looked at."""
        self._ratios = list(self.ratios)
        self._looks: dict[float, Look] = {}
        self._closely: dict[float, Look] = {}

    def run(self) -> list[Crossing[Look]]:
        """Return what was found for each goal, in their order; not reached: the ratio that comes nearest."""
        last = self._ratios[-1]
        self._look({0.0, last, *(self._nearest(ratio) for ratio in SPREAD if ratio < last)})
        self._find_last()
        for step in range(MAX_STEPS):
            wanted = {self._next(goal, step) for goal in range(self.goals)} - {None}
            if not wanted:
                break
            self._look({ratio for ratio in wanted if ratio is not None})
        if self.noisy:
            self._look_closely()
        return [self._crossing(goal) for goal in range(self.goals)]

    def _nearest(self, ratio: float) -> float:
        return self._ratios[min(bisect_left(self._ratios, ratio), len(self._ratios) - 1)]

    def _look(self, ratios: set[float], closely: bool = False) -> None:
        known = self._closely if closely else self._looks
        new = sorted(ratios - known.keys())
        if new:
            found = self.look(new, closely)
            self._looks |= found
            failed = set(new) - found.keys()
            if closely:
                self._closely |= found
                self._looks = {ratio: look for ratio, look in self._looks.items() if ratio not in failed}
            self._ratios = [ratio for ratio in self._ratios if ratio not in failed]

    def _find_last(self) -> None:
        """Look for the last ratio that can be looked at, where the narrowest networks cannot run."""
        for _ in range(MAX_STEPS):
            above = [ratio for ratio in self._ratios if ratio > max(self._looks)]
            if not above:
                return
            ratio = above[len(above) // 2]
            self._look({ratio})
            if ratio not in self._looks:
                self._ratios = [other for other in self._ratios if other < ratio]

    def _bracket(self, goal: int) -> tuple[float, float | None]:
        """Return the last ratio that fails before the first that reaches a goal, and that one."""
        fails = 0.0
        for ratio in sorted(self._looks):
            if self.attained(goal, self._looks[ratio]) >= 1:
                return fails, ratio
            fails = ratio
        return fails, None

    def _next(self, goal: int, step: int) -> float | None:
        """Return the ratio to look at next for a goal; None: its crossing is known."""
        low, high = self._bracket(goal)
        if high is None and self.noisy and step < BESIDE_STEPS:
            return self._beside_best(goal)
        if high is None or high == 0:
            return None
        if self.noisy and self.attained(goal, self._looks[high]) <= 1 + 4 * self.close:
            return None  # the rest is for close looks
        between = [ratio for ratio in self._ratios if low < ratio < high]
        if not between:
            return None
        if step % 3 == 2:
            return between[len(between) // 2]  # where guesses are bad, halving ends it all the same
        expected = self._expected(goal, low, high, 1 + self.close / 2 if self.noisy else 1.0)
        first, last = (int(part * (len(between) - 1)) for part in _MIDDLE)
        return between[min(max(bisect_left(between, expected), first), last)]

    def _beside_best(self, goal: int) -> float | None:
        """Return the middle of the wider gap beside the ratio that comes nearest; None: there is no gap."""
        best, looked = self._nearest_to(goal, self._looks), sorted(self._looks)
        at = looked.index(best)
        beside = [looked[max(at - 1, 0)], best, looked[min(at + 1, len(looked) - 1)]]
        gaps = [[ratio for ratio in self._ratios if low < ratio < high] for low, high in pairwise(beside)]
        widest = max(gaps, key=len)
        return widest[len(widest) // 2] if widest else None

    def _expected(self, goal: int, low: float, high: float, wanted: float) -> float:
        """Return the ratio at which a goal is expected to be reached so many times over."""
        at_low, at_high = (math.log(self.attained(goal, self._looks[ratio])) for ratio in (low, high))
        share = (math.log(wanted) - at_low) / (at_high - at_low) if at_high > at_low else 0.5
        return low + share * (high - low)

    def _look_closely(self) -> None:
        """Look at both sides of each crossing together; follow it where it turns out to lie elsewhere."""
        wanted: set[float] = set()
        for goal in range(self.goals):
            _, high = self._bracket(goal)
            if high is None:
                wanted.add(self._nearest_to(goal, self._looks))
            elif high > 0:
                wanted |= {self._expected_below(goal, high), high, self._above(goal, high)} - {0.0}
            else:
                wanted |= set(self._ratios[:2])  # dense is timed beside another one
        self._look(wanted, closely=True)
        for _ in range(MAX_CLOSE_STEPS):
            further = {self._next_closely(goal) for goal in range(self.goals)} - {None}
            if not further:
                return
            self._look({ratio for ratio in further if ratio is not None}, closely=True)

    def _next_closely(self, goal: int) -> float | None:
        """Return the ratio to look at closely next for a goal; None: what is known of it will do."""
        low, high = self._bracket(goal)
        if not high or high not in self._closely:
            return high or None
        between = [ratio for ratio in self._ratios if low < ratio < high]
        if not between or self.attained(goal, self._looks[high]) <= 1 + 2 * self.close:
            return None
        expected = self._expected(goal, low, high, 1 + self.close)
        return between[min(bisect_left(between, expected), len(between) - 1)]

    def _nearest_to(self, goal: int, looks: Mapping[float, Look]) -> float:
        """Return the ratio that comes nearest to a goal that none reaches."""
        return max(looks, key=lambda ratio: self.attained(goal, looks[ratio]))

    def _expected_below(self, goal: int, high: float) -> float:
        """Return the ratio before one that reaches a goal at which it is expected to be just reached."""
        low, _ = self._bracket(goal)
        between = [ratio for ratio in self._ratios if low <= ratio < high]
        expected = self._expected(goal, low, high, 1 + self.close / 2)
        return between[min(bisect_left(between, expected), len(between) - 1)]

    def _above(self, goal: int, ratio: float) -> float:
        """Return the ratio that is expected to reach a goal with some room."""
        above = [other for other in self._looks if other > ratio]
        later = self._ratios[bisect_left(self._ratios, ratio) + 1 :]
        if not later or not above:
            return ratio
        expected = self._expected(goal, ratio, min(above), 1 + 2 * self.close)
        return later[min(max(bisect_left(later, expected), 0), len(later) - 1)]

    def _crossing(self, goal: int) -> Crossing[Look]:
        looks = self._looks
        if self.noisy and self.attained(goal, looks[0.0]) < 1:
            looks = self._closely
        reached = [ratio for ratio in sorted(looks) if self.attained(goal, looks[ratio]) >= 1]
        if reached:
            return Crossing(reached[0], looks[reached[0]], True)
        nearest = self._nearest_to(goal, looks)
        short = self.attained(goal, looks[nearest]) < 1 - self.allowed
        return Crossing(nearest, looks[nearest], self.noisy and not short)

"""The limits of a user, and what each says of a cell: surely within, not sure, or beyond."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pruning_core.records.score import Measure
from pruning_core.report.recommendation.candidates import Candidate

SURE, NOT_SURE, BEYOND = "sure", "not sure", "beyond"

DROP, SCORE, SIZE, LATENCY = "drop", "score", "size", "latency"
"""What is limited, in the order in which a cell that is beyond several is said to be beyond."""


@dataclass(frozen=True)
class Limits:
    """The most that a cell may lose, take and weigh, and the worst score it may have; None: no limit."""

    max_drop: float | None = None
    score: float | None = None  # the least, or the greatest where lower is better
    max_latency_ms: float | None = None
    max_size_bytes: float | None = None


@dataclass(frozen=True)
class Check:
    """One limit and one cell, both turned so that smaller is better."""

    name: str
    limit: float
    value: float | None  # None: not known
    bound: float | None  # the value at worst, by its interval; None: it has none
    scale: float  # by what an excess is divided to compare it with that of another limit

    @property
    def grade(self) -> str:
        """`sure` if the bound is within the limit, `not sure` if the value alone is, else `beyond`."""
        within = self.limit + 1e-12 + 1e-9 * abs(self.limit)
        if self.value is None or self.value > within:
            return BEYOND
        return SURE if self.bound is not None and self.bound <= within else NOT_SURE

    @property
    def excess(self) -> float:
        """By how much the value is beyond the limit, in shares of the scale."""
        return math.inf if self.value is None else (self.value - self.limit) / (self.scale or 1.0)


def checks_of(candidate: Candidate, limits: Limits) -> list[Check]:
    """Return a check for each limit that there is."""
    return list(_checks(candidate, limits))


def grade_of(checks: list[Check]) -> tuple[str, int]:
    """Return what all limits together say of a cell, and how many of them it is not sure to keep."""
    grades = [check.grade for check in checks]
    crossed = grades.count(NOT_SURE)
    return (BEYOND if BEYOND in grades else NOT_SURE if crossed else SURE), crossed


def badness(measure: Measure, value: float | None) -> float | None:
    """Return a score so that smaller is better."""
    return value if value is None or measure.lower_is_better else -value


def _checks(candidate: Candidate, limits: Limits) -> Iterator[Check]:
    score, drop, measure = candidate.score, candidate.drop, candidate.measure
    scale = abs(score.value) if score else 1.0
    if limits.score is not None:
        worst = (score.high if measure.lower_is_better else score.low) if score else None
        limit, value = (badness(measure, number) for number in (limits.score, score.value if score else None))
        assert limit is not None
        yield Check(SCORE, limit, value, badness(measure, worst), scale)
    if limits.max_drop is not None:
        yield Check(DROP, limits.max_drop, drop.value if drop else None, drop.high if drop else None, scale)
    if limits.max_size_bytes is not None:
        most = limits.max_size_bytes
        yield Check(SIZE, most, candidate.expected_bytes, candidate.size_bytes, most)
    if limits.max_latency_ms is not None:
        most = limits.max_latency_ms
        latency = candidate.record.get("latency_ms")
        yield Check(LATENCY, most, latency, candidate.slowest_ms, most)

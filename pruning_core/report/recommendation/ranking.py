"""The rule: which of the cells that were timed on one machine to ship. `report/page/rule.js` is the same.

A cell that surely keeps the limits comes before one that may not; of these the fastest is first, by the upper
bound of its latency. Only the dense model itself, which is sure to be as good as it is, gives way to any cell
that is faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pruning_core.report.recommendation.candidates import Candidate
from pruning_core.report.recommendation.limits import (
    BEYOND,
    SURE,
    Check,
    Limits,
    badness,
    checks_of,
    grade_of,
)


@dataclass(frozen=True)
class Judged:
    """A cell, and what the limits say of it."""

    candidate: Candidate
    checks: list[Check]
    grade: str
    crossed: int  # limits that it is not sure to keep

    @property
    def complete(self) -> bool:
        """Whether both its score and its time are known."""
        return self.candidate.score is not None and self.candidate.slowest_ms is not None

    @property
    def fits(self) -> bool:
        """Whether it may be shipped at all."""
        return self.grade != BEYOND and self.complete and self.candidate.trusted

    @property
    def is_sure(self) -> bool:
        """Whether it surely keeps every limit."""
        return self.grade == SURE


def judge(candidates: Sequence[Candidate], limits: Limits) -> list[Judged]:
    """Return each cell with what the limits say of it; where it was measured again, the last time counts."""
    last = {candidate.identity: candidate for candidate in candidates}
    judged = []
    for candidate in last.values():
        checks = checks_of(candidate, limits)
        judged.append(Judged(candidate, checks, *grade_of(checks)))
    return judged


def rank(judged: Sequence[Judged]) -> list[Judged]:
    """Return the cells that fit, the one to ship first."""
    order = sorted((cell for cell in judged if cell.fits), key=_order_of)
    if order and order[0].candidate.is_reference:
        first, *others = order
        faster = [cell for cell in others if _slowest(cell) < _slowest(first)]
        return [*faster, first, *(cell for cell in others if _slowest(cell) >= _slowest(first))]
    return order


def second_of(order: Sequence[Judged]) -> Judged | None:
    """Return the next best cell: the first that is not the best one with another seed."""
    return next((cell for cell in order[1:] if not another_seed(cell, order[0])), None)


def another_seed(cell: Judged, other: Judged) -> bool:
    """Tell whether two cells differ by the seed of their training alone."""
    one, two = cell.candidate, other.candidate
    return one.design == two.design and one.record.get("seed") != two.record.get("seed")


def faster_but_not_sure(order: Sequence[Judged]) -> Judged | None:
    """Return the fastest cell that may not keep the limits, where it is faster than a best one that does."""
    if not order or not order[0].is_sure:
        return None
    faster = [cell for cell in order if not cell.is_sure and _slowest(cell) < _slowest(order[0])]
    return min(faster, key=_slowest, default=None)


def is_tie(first: Judged, second: Judged | None) -> bool:
    """Tell whether the times of the first two overlap, so that either may be the faster one."""
    if second is None:
        return False
    one, two = first.candidate.record, second.candidate.record
    return bool(
        one["latency_low_ms"] <= two["latency_high_ms"] and two["latency_low_ms"] <= one["latency_high_ms"]
    )


def closest(judged: Sequence[Judged]) -> Judged | None:
    """Return the cell that comes closest where none fits: beyond the fewest limits, and there by least."""
    timed = [cell for cell in judged if cell.complete and cell.candidate.record["status"] != "failed"]

    def distance(cell: Judged) -> tuple[int, float, float]:
        beyond = [check.excess for check in cell.checks if check.grade == BEYOND]
        missed = len(beyond) + (not cell.candidate.trusted)
        return missed, max(beyond, default=0.0), _slowest(cell)

    return min(timed, key=distance, default=None)


def _order_of(cell: Judged) -> tuple[int, float, float]:
    score = cell.candidate.score
    bad = badness(cell.candidate.measure, score.value) if score else None
    return cell.crossed, _slowest(cell), 0.0 if bad is None else bad


def _slowest(cell: Judged) -> float:
    slowest = cell.candidate.slowest_ms
    return float("inf") if slowest is None else slowest

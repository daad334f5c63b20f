"""The answer: the cell to ship, the next best, and one reason for each other cell."""

from collections.abc import Sequence
from dataclasses import dataclass

from pruning_core.records.controls import DENSE
from pruning_core.records.score import score_of
from pruning_core.report.design import differing, how_of, words_of
from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import number_text
from pruning_core.report.recommendation.candidates import Candidate, costs_of, design_of
from pruning_core.report.recommendation.drop import Drops
from pruning_core.report.recommendation.limits import (
    BEYOND,
    DROP,
    LATENCY,
    SCORE,
    SIZE,
    Limits,
)
from pruning_core.report.recommendation.ranking import (
    Judged,
    another_seed,
    closest,
    faster_but_not_sure,
    is_tie,
    judge,
    rank,
    second_of,
)
from pruning_core.report.run_index import REFERENCE, RunIndex

FAILED, UNSCORED, CONTAMINATED = "failed", "no score", "contaminated"
LESS_SURE, SLOWER, OTHER_SEED = "less sure", "slower", "another seed"
REASONS = (*(SLOWER, OTHER_SEED, LESS_SURE, CONTAMINATED, LATENCY, SIZE, DROP, SCORE, UNSCORED, FAILED),)
"""Why a cell fell out, those that came nearest first."""

_DEFAULT_DROP = 0.01
"""Of an accuracy, and of another score relative to the dense model's, as the page begins with."""


@dataclass(frozen=True)
class SeedDrop:
    """A seed, and what the cell to ship loses when it is trained with it."""

    seed: int
    drop: Estimate | None


@dataclass(frozen=True)
class Answer:
    """What `recommend` says."""

    limits: Limits
    judged: list[Judged]
    order: list[Judged]  # those that fit, the one to ship first
    reasons: dict[int, str]  # id of each other cell → why it fell out
    titles: dict[int, str]  # id of each cell → what it is called
    seeds: list[SeedDrop]

    @property
    def measured(self) -> Candidate:
        """A cell that was measured, if any was: what all of them are about."""
        timed = (cell.candidate for cell in self.judged if cell.complete)
        return next(timed, self.judged[0].candidate)

    @property
    def best(self) -> Judged | None:
        """The cell to ship."""
        return self.order[0] if self.order else None

    @property
    def second(self) -> Judged | None:
        """The next best."""
        return second_of(self.order)

    @property
    def is_tie(self) -> bool:
        """Whether either of the first two may be the faster one."""
        return self.best is not None and is_tie(self.best, self.second)

    @property
    def faster(self) -> Judged | None:
        """The fastest cell that is within the limits, but not surely, where the best one surely is."""
        return faster_but_not_sure(self.order)

    @property
    def nearest(self) -> Judged | None:
        """The cell that comes closest, where none fits."""
        return None if self.order else closest(self.judged)

    def title(self, cell: Judged) -> str:
        """Return what a cell is called."""
        return self.titles[id(cell)]

    def fallen(self) -> dict[str, list[Judged]]:
        """Return reason → the cells that fell out for it, those that came nearest first."""
        found: dict[str, list[Judged]] = {}
        for cell in self.judged:
            if id(cell) in self.reasons:
                found.setdefault(self.reasons[id(cell)], []).append(cell)
        return {
            reason: sorted(found[reason], key=lambda cell: _nearness(cell, reason))
            for reason in REASONS
            if reason in found
        }


def make_answer(indexes: Sequence[RunIndex], meant: Sequence[Candidate], limits: Limits) -> Answer:
    """Choose among cells.

    Args:
        indexes: All files, for what other seeds say.
        meant: Cells of one network, machine, device and batch size (`question.narrow`).
        limits: Of the user.
    """
    judged = judge(meant, limits)
    order = rank(judged)
    best = order[0] if order else None
    reasons = {id(cell): _reason(cell, best) for cell in judged if cell is not best}
    return Answer(limits, judged, order, reasons, _titles(judged), _seeds(indexes, best))


def default_drop(meant: Sequence[Candidate]) -> float | None:
    """Return how much may be lost where nothing is said of it: a point, or a hundredth of the dense score."""
    if meant[0].measure.is_accuracy:
        return _DEFAULT_DROP
    found = [c for c in meant if c.record.get("method") == DENSE and c.score]
    found.sort(key=lambda c: (c.record.get("backend"), c.record.get("precision")) != REFERENCE)
    dense = found[0].score if found else None
    return None if dense is None else float(f"{_DEFAULT_DROP * abs(dense.value):.2g}")


def _reason(cell: Judged, best: Judged | None) -> str:
    if cell.candidate.record["status"] == "failed":
        return FAILED
    if not cell.complete:
        return UNSCORED
    beyond = [check.name for check in cell.checks if check.grade == BEYOND]
    if beyond:
        return beyond[0]
    if not cell.candidate.trusted or best is None:
        return CONTAMINATED
    if another_seed(cell, best):
        return OTHER_SEED
    return LESS_SURE if cell.crossed > best.crossed else SLOWER


def _nearness(cell: Judged, reason: str) -> float:
    excess = next((check.excess for check in cell.checks if check.name == reason), None)
    return excess if excess is not None else cell.candidate.slowest_ms or 0.0


def _titles(judged: Sequence[Judged]) -> dict[int, str]:
    """Return what each cell is called: method, ratio, backend and precision, and all that differs."""
    records = [cell.candidate.record for cell in judged]
    hows = {id(cell): how_of(cell.candidate.index, cell.candidate.record) for cell in judged}
    ran = [cell for cell in judged if "backend" in cell.candidate.record]
    names = differing(hows[id(cell)] for cell in ran if cell.candidate.record.get("method") != DENSE)
    several_seeds = len({cell.candidate.record.get("seed") for cell in ran}) > 1
    titles = {}
    for cell, record in zip(judged, records, strict=True):
        if "backend" not in record:  # it failed before anything was measured
            titles[id(cell)] = str(record["cell"])
            continue
        is_dense = record.get("method") == DENSE
        ratio = "" if is_dense else f" {number_text(record['ratio'], 'ratio')[0]}"
        parts = [
            f"{record.get('method')}{ratio}",
            f"{record.get('backend')} {record.get('precision')}",
            "" if is_dense else words_of(hows[id(cell)], names),
            f"seed {record['seed']}" if several_seeds and record.get("seed") is not None else "",
        ]
        titles[id(cell)] = ", ".join(filter(None, parts))
    alike: dict[str, list[Judged]] = {}
    for cell in judged:
        alike.setdefault(titles[id(cell)], []).append(cell)
    for cells in alike.values():
        files = {cell.candidate.index.file for cell in cells}
        for cell in cells if len(cells) > 1 else ():
            key = str(cell.candidate.record.get("key"))[:8]
            titles[id(cell)] += f", {cell.candidate.index.file if len(files) == len(cells) else f'key {key}'}"
    return titles


def _seeds(indexes: Sequence[RunIndex], best: Judged | None) -> list[SeedDrop]:
    """Return what the cell to ship loses with each seed that the files hold of it, timed or not."""
    if best is None:
        return []
    drops, costs = Drops(indexes), costs_of(indexes)
    candidate, found = best.candidate, {}
    own = candidate.record.get("seed")
    if own is not None:
        found[own] = SeedDrop(own, candidate.drop)
    for index in indexes:
        for record in index.run.records:
            seed = record.get("seed")
            if seed is None or seed in found or score_of(record) is None:
                continue
            if record.get("device") != candidate.record.get("device"):
                continue
            if design_of(index, record, costs.get(record.get("key"), {})) == candidate.design:
                found[seed] = SeedDrop(seed, drops.drop_of(index, record))
    return [found[seed] for seed in sorted(found)]

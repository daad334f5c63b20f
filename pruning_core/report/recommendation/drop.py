"""How much a cell loses to the dense model, with its 95 % interval: what the page and `recommend` go by.

The dense model is that of the same file, device and seed on eager fp32, where it is there: what a
quantization or a runtime costs counts as lost too, not pruning alone.
"""

import math
from collections.abc import Sequence

from pruning_core.records.controls import DENSE
from pruning_core.records.fields import Record
from pruning_core.records.score import Score, score_of
from pruning_core.report.estimate import Estimate
from pruning_core.report.run_index import REFERENCE, RunIndex
from pruning_core.stats.proportions import drop_bounds, paired_drop_bounds
from pruning_core.stats.scores import Interval, bounds, growth_bounds

CONFIDENCE = 0.975
"""Coverage of each bound by itself: the interval of both covers 95 %."""

_SAME, _ROUNDED = 1e-3, 1e-6
"""Shares, of an interval's half-width and of a score, up to which two scores are those of one dense model."""

_Where = tuple[object, ...]


class Drops:
    """The drops of the cells of several files, each from its own dense model."""

    def __init__(self, indexes: Sequence[RunIndex]) -> None:
        """Find the dense models of `indexes`, that of a cell's own file first."""
        self._own: dict[tuple[int, _Where], Record] = {}
        self._any: dict[_Where, Record] = {}
        self._accuracy: dict[_Where, Record] = {}
        self._bounds: dict[tuple[float, ...], tuple[float, float]] = {}
        for index in indexes:
            for record in index.run.records:
                if record["suite"] == "accuracy" and "key" in record:
                    self._accuracy.setdefault((id(index), *_run(record)), record)
                    self._accuracy.setdefault(_run(record), record)
                if record.get("method") != DENSE or score_of(record) is None:
                    continue
                where = _where(index, record)
                best = self._own.get((id(index), where))
                if best is None or _fitness(record) > _fitness(best):
                    self._own[id(index), where] = record
        for (_, where), record in self._own.items():
            self._any.setdefault((*where, *_made(record)), record)

    def reference_of(self, index: RunIndex, record: Record) -> Record | None:
        """Return the record of the dense model that a cell's drop is counted from."""
        where = _where(index, record)
        return self._own.get((id(index), where)) or self._any.get((*where, *_made(record)))

    def is_reference(self, index: RunIndex, record: Record) -> bool:
        """Tell whether a cell is itself what its drop is counted from."""
        reference = self.reference_of(index, record)
        return reference is not None and _cell(reference) == _cell(record)

    def drop_of(self, index: RunIndex, record: Record) -> Estimate | None:
        """Return how much worse a cell is than its dense model; positive is worse.

        Args:
            index: Of the file that holds the record.
            record: With a score.

        Returns:
            The drop; without bounds where the task gives no value for each example; None where the file has
            no dense model, or the record no score.
        """
        score, reference = score_of(record), self.reference_of(index, record)
        dense = score_of(reference)
        if score is None or reference is None or dense is None:
            return None
        if _cell(reference) == _cell(record):
            return Estimate(0.0, 0.0, 0.0)
        if score.measure.is_accuracy:
            both = (self._accuracy_beside(index, one) for one in (reference, record))
            return self._of_accuracy(dense, score, *both)
        return _of_score(dense, score, score_of(self._accuracy_beside(index, record)) or score)

    def _accuracy_beside(self, index: RunIndex, record: Record) -> Record:
        """Return the accuracy record of a cell: of its own file, else of another one, else the cell's own."""
        own = self._accuracy.get((id(index), *_run(record)))
        return own or self._accuracy.get(_run(record)) or record

    def _of_accuracy(self, dense: Score, score: Score, of_dense: Record, beside: Record) -> Estimate:
        if not dense.n or not score.n:
            return Estimate(dense.value - score.value)
        before, now = round(dense.value * dense.n), round(score.value * score.n)
        drop = before / dense.n - now / score.n
        was, answers = (_answers(r, n) for r, n in ((of_dense, before), (beside, now)))
        if was is not None and answers is not None and dense.n == score.n:
            counts: tuple[float, ...] = ((was & ~answers).bit_count(), (answers & ~was).bit_count(), dense.n)
            if counts not in self._bounds:
                lost, gained, n = counts
                self._bounds[counts] = paired_drop_bounds(lost, gained, int(n), CONFIDENCE)
            return Estimate(drop, *self._bounds[counts])
        return Estimate(drop, *drop_bounds(before, dense.n, now, score.n, CONFIDENCE))


def _fitness(record: Record) -> tuple[bool, bool]:
    return (record.get("backend"), record.get("precision")) == REFERENCE, record["suite"] == "accuracy"


def _where(index: RunIndex, record: Record) -> _Where:
    return *index.subject_of(record).network, str(record.get("device")), record.get("seed")


def _made(record: Record) -> _Where:
    return tuple(record.get(name) for name in ("weights_sha256", "recipe_sha256"))


def _run(record: Record) -> _Where:
    return tuple(record.get(name) for name in ("key", "backend", "precision", "device"))


def _cell(record: Record) -> _Where:
    return tuple(record.get(name) for name in ("method", "key", "backend", "precision"))


def _answers(record: Record, right: int) -> int | None:
    """Return which images were predicted correctly, if the record tells them of this very accuracy."""
    text = record.get("correct_bits")
    answers = int(text, 16) if text else None
    return answers if answers is not None and answers.bit_count() == right else None


def _of_score(dense: Score, score: Score, beside: Score) -> Estimate:
    drop = score.measure.worse_by(dense.value, score.value)
    paired = _paired(beside)
    if paired is not None and beside.dense is not None:
        shift = score.measure.worse_by(dense.value, beside.dense)
        allowed = max(_SAME * (paired.high - paired.low) / 2, _ROUNDED * abs(dense.value))
        if abs(shift) <= allowed and beside.value == score.value:
            low, high = bounds(paired, score.n or 0, CONFIDENCE)
            return _estimate(drop, low + drop - paired.value, high + drop - paired.value)
    before, now = _badness(dense), _badness(score)
    if before is None or now is None:
        return Estimate(drop)
    return _estimate(drop, *growth_bounds(before, now, score.n or 0, CONFIDENCE))


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high) if math.isfinite(low) and math.isfinite(high) else Estimate(value)


def _paired(score: Score) -> Interval | None:
    if score.drop is None or score.drop_low is None or score.drop_high is None:
        return None
    return Interval(score.drop, score.drop_low, score.drop_high)


def _badness(score: Score) -> Interval | None:
    if score.low is None or score.high is None:
        return None
    interval = Interval(score.value, score.low, score.high)
    return interval if score.measure.lower_is_better else interval.turned

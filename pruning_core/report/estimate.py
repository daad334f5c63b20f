"""A number with its bounds, and the ones that a record holds."""

from dataclasses import dataclass

from pruning_core.records.fields import Record
from pruning_core.records.score import score_of
from pruning_core.stats.intervals import wilson_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its bounds, where they are known."""

    value: float
    low: float | None = None
    high: float | None = None


def estimate_of(record: Record | None, value: str, low: str, high: str) -> Estimate | None:
    """Return a field of a record with the fields that bound it, or None where it is absent."""
    if not record or value not in record:
        return None
    return Estimate(record[value], record.get(low), record.get(high))


def score_estimate_of(record: Record | None) -> Estimate | None:
    """Return the score in a record with its interval, where it has one."""
    score = score_of(record)
    return Estimate(score.value, score.low, score.high) if score else None


def pruned_score_of(record: Record | None) -> Estimate | None:
    """Return the score before fine-tuning; an accuracy with its Wilson interval, which no record holds."""
    score = score_of(record)
    if score is None or score.pruned is None:
        return None
    if not score.measure.is_accuracy or not score.n:
        return Estimate(score.pruned)
    return Estimate(score.pruned, *wilson_interval(round(score.pruned * score.n), score.n))


def latency_of(record: Record | None) -> Estimate | None:
    """Return the latency in a record, in ms, with the bounds of its median."""
    return estimate_of(record, "latency_ms", "latency_low_ms", "latency_high_ms")


def speedup_of(record: Record | None) -> Estimate | None:
    """Return the speed-up over the reference with its bounds; none for an A/A control, which has no gain."""
    if record and record.get("is_control"):
        return None
    return estimate_of(record, "speedup", "speedup_low", "speedup_high")


def rejected_share_of(record: Record | None) -> float | None:
    """Return the share of a cell's rounds that were left out (`system/README.md`), or None if untold."""
    if not record or "rounds" not in record or "rounds_rejected" not in record:
        return None
    rounds = record["rounds"] + record["rounds_rejected"]
    return float(record["rounds_rejected"] / rounds) if rounds else None

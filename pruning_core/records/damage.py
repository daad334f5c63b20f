"""What a record must hold, and where its numbers contradict one another.

Speed-ups and their bounds follow from the rounds, accuracies from counts, a drop from two scores. A record in
which they do not was altered, or written by something else: nothing else that it says can be trusted either.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from pruning_core.records.fields import LOWER, Record
from pruning_core.records.rounds import speedup_bounds
from pruning_core.stats.intervals import wilson_interval

ROUNDED = 1e-3
"""Relative error that a stored number may have: a record may be rounded, but not be about other rounds."""

_NETWORK = ("model", "dataset", "method", "ratio")
_RUNS = (*_NETWORK, "backend", "precision", "device")
_TIMES = ("batch_size", "reference", "is_control", "contaminated", "rounds", "log_ratios", "confidence")
_SPEEDS = ("speedup", "speedup_low", "speedup_high")
_LATENCIES = ("latency_ms", "latency_low_ms", "latency_high_ms")
_MEASURED = {*_SPEEDS, *_LATENCIES, "rounds", "log_ratios", "is_control", "accuracy", "score"}

REQUIRED = {
    "cost": _NETWORK,
    "accuracy": _RUNS,
    "latency": (*_RUNS, *_TIMES, *_SPEEDS, *_LATENCIES),
    "training": (*_NETWORK, "device", *_TIMES, *_SPEEDS),
}
"""Suite → fields that each of its records has, in every schema."""

_RISING = (
    ("latency_low_ms", "latency_ms", "latency_high_ms"),
    ("latency_p05_ms", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    ("latency_p05_ms", "latency_high_ms"),
    ("speedup_low", "speedup", "speedup_high"),
    ("accuracy_low", "accuracy", "accuracy_high"),
    ("score_low", "score", "score_high"),
    ("score_drop_low", "score_drop", "score_drop_high"),
    ("cpu_mhz_low", "cpu_mhz_high"),
    ("gpu_mhz_low", "gpu_mhz_high"),
)
"""Fields that are never larger than the one after them."""


def contradiction_in(record: Record) -> str | None:
    """Say what a record lacks, or how it contradicts itself, after the words `the record`; None if sound.

    Args:
        record: Each of its fields in its range (`values.value_problem`).
    """
    required = REQUIRED.get(record["suite"], ())
    if record["status"] == "failed" and not record.keys() & _MEASURED:
        required = _NETWORK  # it failed before anything was measured
    absent = [name for name in required if name not in record]
    if absent:
        return f"has no {', '.join(absent)}"
    return next(_contradictions(record), None)


def _contradictions(record: Record) -> Iterator[str]:
    for names in _RISING:
        known = [name for name in names if name in record]
        for lower, upper in pairwise(known):
            if record[lower] > record[upper] + _slack(record, upper):
                yield f"has {lower} = {record[lower]:g} above {upper} = {record[upper]:g}"
    if "log_ratios" in record:
        yield from _of_rounds(record)
    if record["suite"] == "latency" and "is_control" in record:
        yield from _of_times(record)
    for time in ("latency_ms", "step_ms"):
        if time in record and "images_per_s" in record and "batch_size" in record:
            yield from _of_throughput(record, time)
    if any(name.startswith("score") for name in record):
        yield from _of_score(record)
    if "accuracy" in record:
        yield from _of_accuracy(record)


def _slack(record: Record, name: str) -> float:
    """Return by how much numbers that are equal may differ; a task may compute its score in float32."""
    if not name.startswith("score"):
        return 1e-9 * abs(float(record[name]))
    return 1e-6 * max(abs(float(record.get(field, 0.0))) for field in ("score", "score_dense"))


def _of_rounds(record: Record) -> Iterator[str]:
    values = record["log_ratios"]
    if len(values) != record.get("rounds") or not values:
        yield f"has {len(values)} log_ratios for {record.get('rounds')} rounds"
        return
    if not {*_SPEEDS, "confidence"} <= record.keys():
        return  # of a suite that we do not know
    stored = [float(record[name]) for name in _SPEEDS]
    if "looks" not in record and record.get("schema_version", 1) > 1:
        yield "has no looks, on which the bounds of its speed-up depend"
        return
    if not _near(record["speedup"], math.exp(-median(values))):
        yield f"has speedup = {record['speedup']:g}, its rounds say {math.exp(-median(values)):g}"
        return
    found = list(speedup_bounds(values, record["confidence"], record.get("looks")))
    if not found:
        yield f"has confidence = {record['confidence']:g}, which no interval of {len(values)} rounds has"
    elif not any(_near(stored[1], low) and _near(stored[2], high) for low, high in found):
        low, high = found[0]
        yield (
            f"has speedup_low = {stored[1]:g} and speedup_high = {stored[2]:g}, its rounds say {low:g} and "
            f"{high:g}"
        )


def _of_times(record: Record) -> Iterator[str]:
    if record["is_control"] != (record["reference"] == record["cell"]):
        yield (
            "is an A/A control with another reference than itself"
            if record["is_control"]
            else "is its own reference, but no A/A control"
        )
    latency, speedup = record["latency_ms"], record["speedup"]
    if "reference_latency_ms" in record:
        # Medians of two samples a round: near the rounds' ratios, but not the median of them.
        quotient = math.log(latency / record["reference_latency_ms"])
        spread = math.log(2)
        if not min(record["log_ratios"]) - spread <= quotient <= max(record["log_ratios"]) + spread:
            yield (
                f"has latency_ms = {latency:g} beside reference_latency_ms = "
                f"{record['reference_latency_ms']:g}, but speedup = {speedup:g}"
            )
    if {"mac_efficiency", "mac_reduction"} <= record.keys() and not _near(
        record["mac_efficiency"] * record["mac_reduction"], speedup
    ):
        yield "has a mac_efficiency that is not speedup ÷ mac_reduction"


def _of_throughput(record: Record, time: str) -> Iterator[str]:
    if not _near(record["images_per_s"] * record[time] / 1e3, record["batch_size"]):
        yield f"has images_per_s = {record['images_per_s']:g}, which {time} = {record[time]:g} does not give"


def _of_accuracy(record: Record) -> Iterator[str]:
    lacking = [name for name in ("accuracy_low", "accuracy_high", "accuracy_n") if name not in record]
    if lacking:
        yield f"has an accuracy without {', '.join(lacking)}"
        return
    accuracy, n = record["accuracy"], record["accuracy_n"]
    right = round(accuracy * n)
    if abs(accuracy - right / n) > 1e-4:
        yield f"has accuracy = {accuracy:g}, which is no number of {n} images"
        return
    low, high = wilson_interval(right, n)
    if abs(record["accuracy_low"] - low) > ROUNDED or abs(record["accuracy_high"] - high) > ROUNDED:
        yield (
            f"has accuracy_low = {record['accuracy_low']:g} and accuracy_high = {record['accuracy_high']:g}, "
            f"{right} of {n} images say {low:g} and {high:g}"
        )
    answers = record.get("correct_bits")
    if answers and (len(answers) != -(-n // 4) or int(answers, 16).bit_count() != right):
        yield f"has correct_bits that are not {right} of {n}"
    drop = record.get("accuracy_drop")
    if (
        drop is not None
        and "dense_accuracy" in record
        and (abs(record["dense_accuracy"] - accuracy - drop) > ROUNDED)
    ):
        yield "has an accuracy_drop that is not dense_accuracy − accuracy"


def _of_score(record: Record) -> Iterator[str]:
    if "accuracy" in record:
        yield "has both an accuracy and a score"
    needed = ("score", "score_name", "score_better", "score_n")
    lacking = [name for name in needed if record.get(name, "") == ""]
    if lacking:
        yield f"has a score without {', '.join(lacking)}"
        return
    for low, high in (("score_low", "score_high"), ("score_drop_low", "score_drop_high")):
        if (low in record) != (high in record):
            yield f"has only one of {low} and {high}"
    if not {"score_dense", "score_drop"} <= record.keys():
        if {"score_drop", "score_drop_low"} & record.keys():
            yield "has a score_drop without score_dense"
        return
    score, dense = record["score"], record["score_dense"]
    drop = score - dense if record["score_better"] == LOWER else dense - score
    if abs(record["score_drop"] - drop) > ROUNDED * max(abs(score), abs(dense)):
        yield (
            f"has score_drop = {record['score_drop']:g}; from score_dense = {dense:g} to score = {score:g}, "
            f"{record['score_better']} is better, it is {drop:g}"
        )


def _near(stored: float, recomputed: float) -> bool:
    return abs(stored - recomputed) <= ROUNDED * abs(recomputed)

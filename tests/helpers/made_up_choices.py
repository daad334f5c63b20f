"""Cells to choose among, made up of what they lose and take: their records hang together as measured ones do.

Not for: whole files of every suite (`record_factory.py`).
"""

import hashlib
import math
import random
from dataclasses import dataclass, field
from typing import Any

from pruning_core.records.record import pack_correct_bits
from pruning_core.stats.intervals import wilson_interval
from tests.helpers import record_factory as factory
from tests.helpers.made_up_records import accuracy_record, cost_record, latency_record
from tests.helpers.made_up_scores import turn_into_score

IMAGES, RIGHT, DENSE_MS = 2000, 1800, 10.0
"""Test images, how many of them the dense model predicts correctly, and how long it takes."""


@dataclass(frozen=True)
class Choice:
    """A cell: how many images it loses and gains against dense eager fp32, and how long it takes."""

    ratio: float
    backend: str
    ms: float
    lost: int = 0
    gained: int = 0
    spread: float = 0.01  # of its latency's interval, to either side
    device: str = "cpu"
    batch_size: int = 1
    more: dict[str, Any] = field(default_factory=dict)  # fields of all its records


DENSE = Choice(0.0, "eager:fp32", DENSE_MS)


def content_of(*choices: Choice, machine: str = "box-a", task: Any = None, bounded: bool = True) -> Any:
    """Make the content of a benchmark JSON file of these cells, with the dense model on eager fp32 if absent.

    Args:
        choices: The cells.
        machine: Its name.
        task: Name and direction of a score, where it is no classification.
        bounded: Whether that task gives intervals.
    """
    if not any(c.ratio == 0 and c.backend == DENSE.backend for c in choices):
        choices = (DENSE, *choices)
    content = factory.make_content(ratios=(), backends=(), machine=machine)
    records = [record for choice in choices for record in _records(choice)]
    unique = {(record["suite"], record["cell"], record["seed"]): record for record in records}
    for record in unique.values():
        if task and "accuracy" in record:
            turn_into_score(record, task, bounded)
    content["benchmarks"] = [factory.entry_of(record) for record in unique.values()]
    return content


def _records(choice: Choice) -> list[dict[str, Any]]:
    cost = cost_record(choice.ratio)
    accuracy = accuracy_record(choice.ratio, choice.backend, choice.device, True)
    name, precision = choice.backend.split(":")
    like = f"{name}:fp32"  # of which there are made-up times
    latency = latency_record(choice.ratio, like, choice.device, choice.batch_size, 10, 0.0, random.Random(0))
    latency.update(precision=precision, cell=latency["cell"].replace("fp32", precision))
    _set_accuracy(accuracy, choice, bits=True)
    _set_accuracy(latency, choice, bits=False)
    latency["reference_latency_ms"] = DENSE_MS
    factory.set_rounds(latency, [math.log(choice.ms / DENSE_MS)] * 10)
    latency.update(
        latency_low_ms=choice.ms * (1 - choice.spread),
        latency_high_ms=choice.ms * (1 + choice.spread),
        latency_p05_ms=choice.ms * (1 - choice.spread),
        latency_p95_ms=choice.ms * 1.5,
        latency_p99_ms=choice.ms * 2,
    )
    for record in (cost, accuracy, latency):
        record.update(choice.more)
        record["key"] = _key(choice)
        if choice.more.get("seed") or choice.more.get("method"):
            record["cell"] += "-" + "-".join(map(str, choice.more.values()))
    if latency["is_control"]:
        latency["reference"] = latency["cell"]
    return [cost, accuracy, latency]


def _set_accuracy(record: dict[str, Any], choice: Choice, bits: bool) -> None:
    right = RIGHT - choice.lost + choice.gained
    low, high = wilson_interval(right, IMAGES)
    record.update(accuracy=right / IMAGES, accuracy_low=low, accuracy_high=high, accuracy_n=IMAGES)
    if bits:
        record["correct_bits"] = pack_correct_bits(
            choice.lost <= i < RIGHT or RIGHT <= i < RIGHT + choice.gained for i in range(IMAGES)
        )
        record.update(dense_accuracy=RIGHT / IMAGES, accuracy_drop=(choice.lost - choice.gained) / IMAGES)


def _key(choice: Choice) -> str:
    return hashlib.sha256(repr((choice.ratio, sorted(choice.more.items()))).encode()).hexdigest()[:32]

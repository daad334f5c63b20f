"""Records of other tasks than classification, made of those of one: their scores hang together as measured.

Not for: the records themselves (`made_up_records.py`).
"""

import json
from typing import Any

from tests.helpers import record_factory as factory
from tests.helpers.made_up_records import DATASET, MODEL

EXAMPLES = 200
IOU = ("mean IoU", "higher")
ERROR = ("mean absolute error", "lower")

_OF_CLASSIFICATION = ("accuracy", "dense_accuracy", "correct_bits", "min_accuracy", "max_accuracy_drop")


def score_content(task: tuple[str, str] = ERROR, bounded: bool = True, **shape: Any) -> dict[str, Any]:
    """Make the content of a benchmark JSON file of a task, the shape as of `make_content`.

    Args:
        task: Name of its score, and which values are better.
        bounded: Whether it gives a value for each example, so that there are intervals.
        shape: Of the file.
    """
    content = factory.make_content(**shape)
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        if "accuracy" in record:
            turn_into_score(record, task, bounded)
    return content


def turn_into_score(record: dict[str, Any], task: tuple[str, str], bounded: bool = True) -> None:
    """Give a record a score in place of its accuracy: as good as that, about a half."""
    name, better = task
    badness = {field: 1 - record[field] for field in ("accuracy", "dense_accuracy") if field in record}
    pruned = record.get("accuracy_pruned")
    for field in [f for f in record if f.startswith(_OF_CLASSIFICATION)]:
        del record[field]
    record.update(score_name=name, score_better=better, score_n=EXAMPLES)
    if "dense_accuracy" in badness:
        record["score_dense"] = _score(badness["dense_accuracy"], better)
        record["score_pruned"] = _score(1 - pruned, better)
    set_score(record, _score(badness["accuracy"], better), bounded)


def set_score(record: dict[str, Any], value: float, bounded: bool = True, reach: float = 0.02) -> None:
    """Give a record another score, and what follows from it.

    Args:
        record: With the name and direction of its score.
        value: The score.
        bounded: Whether it has an interval.
        reach: How far that reaches; that of the drop a quarter of it.
    """
    record["score"] = value
    if bounded:
        record.update(score_low=value - reach, score_high=value + reach)
    if "score_dense" not in record:
        return
    sign = 1 if record["score_better"] == "lower" else -1
    drop = record["score_drop"] = sign * (value - record["score_dense"])
    if bounded:
        reach = 0.0 if record["method"] == "dense" else reach / 4
        record.update(score_drop_low=drop - reach, score_drop_high=drop + reach)


def set_dense(record: dict[str, Any], value: float) -> None:
    """Say that the dense model has another score."""
    record["score_dense"] = value
    set_score(record, value if record["method"] == "dense" else record["score"], "score_low" in record)


def two_tasks(first: dict[str, Any], second: dict[str, Any], model: str = "unet") -> dict[str, Any]:
    """Make one file of two contents, the second's of another network."""
    renamed = json.loads(json.dumps(second["benchmarks"]).replace(MODEL, model).replace(DATASET, "shapes"))
    for entry in renamed:
        entry["extra_info"]["key"] = entry["extra_info"]["key"][::-1]
    return {**first, "benchmarks": [*first["benchmarks"], *renamed]}


def _score(badness: float, better: str) -> float:
    return 0.3 + badness if better == "lower" else 0.75 - badness

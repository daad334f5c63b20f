"""Scores of any task in records: read into one object, and damaged where they contradict themselves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import RecordError
from pruning_core.records.record import make_record
from pruning_core.records.run import read_run
from pruning_core.records.score import (
    ACCURACY,
    Measure,
    Score,
    measure_of,
    misplaced_limit,
    score_of,
    score_text,
)
from tests.helpers import record_factory as factory
from tests.helpers.made_up_scores import ERROR, IOU, score_content

ACC = ("accuracy", "resnet18-digits-magnitude-0.5-eager-fp32-cpu")
LAT = ("latency", f"{ACC[1]}-b32")
SMALL: dict[str, Any] = {"ratios": (0.5,), "backends": ("eager:fp32",), "batch_sizes": (32,)}
MEAN_IOU, MEAN_ERROR = Measure(*IOU), Measure(*ERROR)


def test_an_accuracy_is_a_score() -> None:
    """A classification's record gives a score called accuracy, higher is better, with its Wilson interval."""
    record = factory.find(factory.make_content(**SMALL), ACC)
    score = score_of(record)
    assert score == Score(
        ACCURACY,
        348 / 360,
        record["accuracy_low"],
        record["accuracy_high"],
        360,
        dense=350 / 360,
        drop=record["accuracy_drop"],
        pruned=288 / 360,
    )
    assert score is not None
    assert (score.text, ACCURACY.heading, ACCURACY.direction) == ("96.67%", "accuracy %", "higher is better")


@pytest.mark.parametrize("task", [IOU, ERROR])
def test_a_score_of_another_task_is_read_with_its_bounds(task: tuple[str, str]) -> None:
    """Each field of a record stands in the score, whichever values are better."""
    record = factory.find(score_content(task, **SMALL), ACC)
    score = score_of(record)
    assert score is not None
    assert score.measure == Measure(*task)
    told = [score.value, score.low, score.high, score.n, score.dense, score.drop]
    told += [score.drop_low, score.drop_high, score.pruned]
    names = ["", "_low", "_high", "_n", "_dense", "_drop", "_drop_low", "_drop_high", "_pruned"]
    assert told == [record[f"score{name}"] for name in names]
    assert score.drop == pytest.approx(2 / 360)
    assert score.measure.worse_by(record["score_dense"], record["score"]) == pytest.approx(2 / 360)


def test_what_has_no_score_has_none() -> None:
    """A cost record has neither score nor measure."""
    record = next(factory.records_of(factory.make_content(**SMALL), "cost"))
    assert score_of(record) is None
    assert measure_of(record) is None
    assert score_of(None) is None


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.73124, 0.71, 0.75), "0.7312"),
        ((0.73124,), "0.7312"),
        ((1234.56, 1234.41, 1234.71), "1,234.56"),
        ((1234.5,), "1,234"),
        ((0.0004123,), "0.0004123"),
        ((-3.25, -3.5, -3.0), "-3.250"),
        ((0.0,), "0"),
        ((0.0, -0.01, 0.02), "0.00000"),
        ((3.2e12,), "3.200e+12"),
        ((1e-20,), "1.000e-20"),
    ],
)
def test_a_score_has_digits_that_count(numbers: tuple[float, ...], text: str) -> None:
    """Four digits, or as many as tell a score from its bounds; never a name of powers for usual sizes."""
    assert score_text(*numbers) == text


@pytest.mark.parametrize(
    ("limit", "measure", "words"),
    [
        ("min_accuracy", ACCURACY, None),
        ("max_accuracy_drop", ACCURACY, None),
        ("min_score", MEAN_IOU, None),
        ("max_score", MEAN_ERROR, None),
        ("max_score_drop", MEAN_IOU, None),
        ("max_score_drop", MEAN_ERROR, None),
        ("min_score", ACCURACY, "use min_accuracy"),
        ("max_score", ACCURACY, "use min_accuracy"),
        ("max_score_drop", ACCURACY, "use max_accuracy_drop"),
        ("min_score", MEAN_ERROR, "(mean absolute error, lower is better): use max_score"),
        ("max_score", MEAN_IOU, "(mean IoU, higher is better): use min_score"),
        ("min_accuracy", MEAN_IOU, "use min_score"),
        ("min_accuracy", MEAN_ERROR, "use max_score"),
        ("max_accuracy_drop", MEAN_ERROR, "use max_score_drop"),
    ],
)
def test_a_limit_fits_one_kind_and_direction(limit: str, measure: Measure, words: str | None) -> None:
    """A limit of the wrong kind or direction is told, with the one to use."""
    said = misplaced_limit(limit, measure)
    if words is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(f"{limit} does not fit")
        assert words in said


@pytest.mark.parametrize("field", ["score_low", "score_drop_high", "agreement", "min_score"])
def test_null_is_absent(tmp_path: Path, field: str) -> None:
    """Where a task defines none, null is read, and made, as absent; elsewhere null is damage."""
    content = score_content(bounded=False, **SMALL)
    record = factory.find(content, ACC)
    record[field] = None
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content))
    (found,) = [r for r in read_run(path).records if (r["suite"], r["cell"]) == ACC]
    assert field not in found
    assert field not in make_record(**record)
    record["score"] = None
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="score = None"):
        read_run(path)
    with pytest.raises(TypeError, match="'score'"):
        make_record(**record)


def move(record: dict[str, Any], **by: float) -> None:
    """Change numbers of a record by so much."""
    for name, amount in by.items():
        record[name] += amount


@pytest.mark.parametrize(
    ("identity", "change", "words"),
    [
        (ACC, lambda r: r.update(accuracy=0.5), "has both an accuracy and a score"),
        (LAT, lambda r: r.pop("score"), "has a score without score"),
        (LAT, lambda r: r.pop("score_name"), "has a score without score_name"),
        (LAT, lambda r: r.update(score_name=""), "has a score without score_name"),
        (LAT, lambda r: r.pop("score_better"), "has a score without score_better"),
        (ACC, lambda r: r.pop("score_n"), "has a score without score_n"),
        (ACC, lambda r: r.pop("score_low"), "has only one of score_low and score_high"),
        (ACC, lambda r: r.pop("score_drop_high"), "has only one of score_drop_low and score_drop_high"),
        (ACC, lambda r: r.pop("score_dense"), "has a score_drop without score_dense"),
        (ACC, lambda r: move(r, score_high=-0.1), "has score = "),
        (ACC, lambda r: move(r, score_low=0.1), "has score_low = "),
        (ACC, lambda r: move(r, score_drop_low=0.1), "has score_drop_low = "),
        (ACC, lambda r: move(r, score_drop=0.004), "has score_drop = "),
        (ACC, lambda r: move(r, score_dense=0.1), "lower is better, it is -0.09"),
        (ACC, lambda r: r.update(score_better="higher"), "higher is better, it is -0.00"),
        (ACC, lambda r: r.update(score_better="more"), "not higher or lower"),
        (ACC, lambda r: r.update(score=1e31), "not a float within"),
        (ACC, lambda r: r.update(score_n=0), "not a count"),
        (ACC, lambda r: r.update(score_name="x" * 61), "a text of at most 60 characters"),
        (ACC, lambda r: r.update(score_name=3), "not str"),
    ],
)
def test_contradictions_of_scores_are_damage(
    tmp_path: Path, identity: tuple[str, str], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """A score that lacks what belongs to it, or contradicts itself, is refused in one line."""
    content = score_content(**SMALL)
    change(factory.find(content, identity))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        read_run(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", [IOU, ERROR])
@pytest.mark.parametrize("scale", [1.0, -1.0, 1e-9, 1e12])
def test_scores_of_any_size_and_sign_are_sound(tmp_path: Path, task: tuple[str, str], scale: float) -> None:
    """Tiny, huge and negative scores are read, also rounded to seven digits."""
    content = score_content(task, **SMALL)
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        names = [n for n in record if n.startswith("score") and isinstance(record[n], float)]
        record |= {name: float(f"{record[name] * scale:.7g}") for name in names}
        if scale < 0 and names:
            record["score_better"] = "lower" if record["score_better"] == "higher" else "higher"
            for low, high in (("score_low", "score_high"), ("score_drop_low", "score_drop_high")):
                if low in record:
                    record[low], record[high] = record[high], record[low]
            if "score_drop" in record:
                for name in ("score_drop", "score_drop_low", "score_drop_high"):
                    record[name] = -record[name]
                record["score_drop_low"], record["score_drop_high"] = sorted(
                    (record["score_drop_low"], record["score_drop_high"])
                )
    assert len(factory.as_run(content, tmp_path).records) == len(content["benchmarks"])

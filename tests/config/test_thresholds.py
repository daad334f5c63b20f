"""Limits of scores: the first that matches counts, what it finds wrong, and mistakes are named."""

import pytest

from pruning_core.config.cells import DENSE, Variant
from pruning_core.config.precision import PRECISIONS
from pruning_core.config.thresholds import (
    Threshold,
    check_score,
    limit_fields,
    min_agreement,
    read_thresholds,
)
from pruning_core.errors import OptionError
from pruning_core.records.score import ACCURACY, Measure, Score

TEXT = """
[[threshold]]
dataset = "digits"
method = "magn*"
up_to_ratio = 0.5
min_accuracy = 0.9

[[threshold]]
dataset = "folder-*"
precision = "bf16"
max_accuracy_drop = 0.02

[[threshold]]
dataset = "digits"
min_accuracy = 0.7
"""


@pytest.mark.parametrize(
    ("variant", "precision", "expected"),
    [
        (Variant("resnet18", "digits", "magnitude", 0.5), "fp32", (0.9, 1.0)),
        (Variant("resnet18", "digits", "magnitude", 0.75), "fp32", (0.7, 1.0)),
        (Variant("resnet18", "digits", DENSE, 0.0), "fp32", (0.7, 1.0)),
        (Variant("resnet18", "folder:/data/cifar", "magnitude", 0.5), "bf16", (0.0, 0.02)),
        (Variant("resnet18", "folder:/data/cifar", "magnitude", 0.5), "fp32", None),
    ],
)
def test_the_first_that_matches_counts(tmp_path, variant, precision, expected):
    """Patterns, precision and ratio choose the limits; where none matches there are none."""
    path = tmp_path / "thresholds.toml"
    path.write_text(TEXT)
    found = read_thresholds(path).find(variant, "eager", precision)
    assert (found and (found.min_accuracy, found.max_accuracy_drop)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[[threshold]]\nflor = 0.5\n",
            r"line 1, \[\[threshold\]\] number 1: no key 'flor' in a \[\[threshold\]\]\.\n  known: dataset",
        ),
        ("[[threshold]]\nmin_acuracy = 0.5\n", "Did you mean 'min_accuracy'"),
        ("[[threshold]]\nmin_accuracy = 1.5\n", r"min_accuracy: .*less than or equal to 1; got 1.5"),
        ("[threshold]\nmin_accuracy = 0.5\n", r"got 'threshold'\. Write it with two brackets on each side$"),
        ("[[thresholds]]\nmin_accuracy = 0.5\n", "Did you mean 'threshold'"),
        ("min_accuracy = \n", "not valid TOML"),
        ("[[threshold]]\nmax_score = nan\n", "max_score: "),
        ("[[threshold]]\nmin_score = inf\n", "min_score: "),
        ("[[threshold]]\nmax_score_drop = -0.1\n", r"max_score_drop: .*greater than or equal to 0"),
        ("[[threshold]]\nmin_score = '0.5'\n", "min_score: "),
    ],
)
def test_mistakes_are_named(tmp_path, text, expected):
    """A wrong limit is refused with what came and what is allowed."""
    path = tmp_path / "thresholds.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=expected):
        read_thresholds(path)


def test_a_file_that_is_not_there(tmp_path):
    """Limits that cannot be read are said to be so."""
    with pytest.raises(OptionError, match="cannot read thresholds"):
        read_thresholds(tmp_path / "none.toml")


def test_agreement_has_a_bound_for_every_precision():
    """Where the file says nothing, the bound is that of the precision; a threshold may set another."""
    assert set(PRECISIONS) == {"fp32", "bf16", "fp16", "int8"}
    assert min_agreement(None, "int8") == min_agreement(Threshold(min_accuracy=0.5), "int8") == 0.95
    assert min_agreement(Threshold(min_agreement=0.0), "fp32") == 0.0


IOU, ERROR = Measure("mean IoU", "higher"), Measure("mean absolute error", "lower")


@pytest.mark.parametrize(
    ("measure", "value", "drop", "limits", "said"),
    [
        (ACCURACY, 0.9, 0.02, {"min_accuracy": 0.9, "max_accuracy_drop": 0.02}, None),
        (ACCURACY, 0.9, 0.02, {"min_accuracy": 0.95}, "accuracy 0.9000 is below its floor 0.9500"),
        (ACCURACY, 0.9, 0.02, {"max_accuracy_drop": 0.01}, "accuracy is 0.0200 below dense, more than"),
        (ACCURACY, 0.9, 0.02, {"min_score": 0.5}, "min_score does not fit"),
        (IOU, 0.7, 0.02, {"min_score": 0.7, "max_score_drop": 0.02}, None),
        (IOU, 0.7, -0.1, {"max_score_drop": 0.0}, None),
        (IOU, 0.7, 0.02, {"min_score": 0.71}, "mean IoU 0.7000 is below min_score, 0.71"),
        (IOU, 0.7, 0.02, {"max_score_drop": 0.01}, "mean IoU is by 0.02 worse than dense; max_score_drop"),
        (IOU, 0.7, 0.02, {"max_score": 0.9}, "(mean IoU, higher is better): use min_score in the [[thres"),
        (IOU, 0.7, 0.02, {"min_accuracy": 0.1}, "min_accuracy does not fit the score here"),
        (ERROR, 3.5, 0.2, {"max_score": 3.5, "max_score_drop": 0.2}, None),
        (ERROR, 3.5, 0.2, {"max_score": 3.4}, "mean absolute error 3.500 is above max_score, 3.4"),
        (ERROR, 3.5, 0.2, {"max_score_drop": 0.1}, "mean absolute error is by 0.2 worse than dense"),
        (ERROR, 3.5, None, {"max_score_drop": 0.1}, "by an unknown amount worse than dense"),
        (ERROR, 3.5, 0.2, {"min_score": 0.1}, "(mean absolute error, lower is better): use max_score"),
        (ERROR, 3.5, 0.2, {"max_accuracy_drop": 0.1}, "use max_score_drop"),
        (ERROR, float("nan"), 0.0, {"max_score": 3.4}, "is above max_score"),
    ],
)
def test_a_score_is_checked_in_its_direction(measure, value, drop, limits, said):
    """What misses a limit is told in one line, and so is a limit of another kind or direction."""
    found = check_score(Threshold(**limits), Score(measure, value, drop=drop))
    if said is None:
        assert found is None
    else:
        assert said in found
        assert "\n" not in found


def test_nothing_is_asserted_without_a_threshold():
    """A cell that no threshold matches passes, and so does one whose threshold sets no limit of scores."""
    assert check_score(None, Score(ERROR, 1e9, drop=1e9)) is None
    assert check_score(Threshold(min_agreement=0.9), Score(ERROR, 1e9)) is None
    assert check_score(Threshold(min_accuracy=0.0, max_accuracy_drop=1.0), Score(ERROR, 1e9)) is None


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (ACCURACY, {"min_accuracy": 0.0, "max_accuracy_drop": 1.0}),
        (IOU, {"min_score": 0.5, "max_score_drop": 0.1}),
        (ERROR, {"max_score_drop": 0.1}),
    ],
)
def test_a_record_has_the_limits_that_fit_it(measure, expected):
    """Of a threshold those limits are recorded that fit what is scored; of none, none."""
    assert limit_fields(Threshold(min_score=0.5, max_score_drop=0.1), measure) == expected
    assert limit_fields(None, measure) == {}

"""Accuracy limits: the first that matches counts, and mistakes are named."""

import pytest

from pruning_core.config.cells import DENSE, Variant
from pruning_core.config.precision import PRECISIONS
from pruning_core.config.thresholds import Threshold, min_agreement, read_thresholds
from pruning_core.errors import OptionError

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
        ("[[threshold]]\nflor = 0.5\n", r"line 1, \[\[threshold\]\] number 1: flor"),
        ("[[threshold]]\nmin_accuracy = 1.5\n", r"min_accuracy: .*less than or equal to 1 \(got: 1.5\)"),
        ("[threshold]\nmin_accuracy = 0.5\n", r"only \[\[threshold\]\] tables"),
        ("[[thresholds]]\nmin_accuracy = 0.5\n", "Did you mean 'threshold'"),
        ("min_accuracy = \n", "not valid TOML"),
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

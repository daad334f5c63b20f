"""A score: what is none is refused in one line; what is worse is positive, whichever way is better."""

import numpy as np
import pytest
import torch

from pruning_core.errors import TaskError
from pruning_core.tasks import Score

NAN = float("nan")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": NAN}, "value must be finite; got nan"),
        ({"value": float("inf")}, "value must be finite"),
        ({"value": torch.ones(3)}, "value must be a number; got Tensor"),
        ({"value": "good"}, "value must be a number; got str"),
        ({"value": None}, "value must be a number"),
        ({"better": "more"}, 'better must be "higher" or "lower"; got \'more\''),
        ({"name": ""}, "name must be a text of 1 to 60 characters"),
        ({"name": 3}, "name must be a text"),
        ({"name": "x" * 61}, "name must be a text"),
        ({"values": [1.0, NAN, 2.0]}, "that of example 1 is nan"),
        ({"values": [[1.0], [2.0]]}, r"one number for each example; got \(2, 1\)"),
        ({"values": []}, "one number for each example"),
        ({"values": "abc"}, "values must be numbers"),
        ({"values": [1.0, 2.0], "value": 1.7}, "its value is 1.7 and the mean of its values 1.5"),
    ],
)
def test_what_is_no_score_is_refused(fields, said):
    """Each mistake has a line of its own that says what it got."""
    with pytest.raises(TaskError, match=said) as caught:
        Score(**{"name": "mean IoU", "better": "higher", "value": 0.5, **fields})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [list, np.asarray, torch.tensor, lambda v: torch.tensor(v).half()])
def test_values_may_come_in_any_form(make):
    """Lists, arrays and tensors give one score, its value their mean without rounding."""
    score = Score("error", "lower", torch.tensor(0.75), make([0.5, 1.0]))
    assert (score.value, score.values) == (0.75, (0.5, 1.0))


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1)])
def test_a_drop_is_positive_where_it_is_worse(better, sign):
    """Less of what should be high, and more of what should be low, are drops; the bounds say so as well."""
    dense = Score("s", better, 10.0, [9.0, 11.0] * 10)
    pruned = Score("s", better, 8.0, [7.5, 8.5] * 10)
    assert pruned.drop_from(dense) == sign * 2.0
    low, high = pruned.drop_interval(dense)
    assert low < sign * 2.0 < high
    assert dense.drop_interval(dense) == (0.0, 0.0)
    assert str(dense.drop_from(dense)) == "0.0"


def test_without_values_there_is_no_interval():
    """Nor where the two were scored on other numbers of examples."""
    alone, with_values = Score("s", "higher", 1.0), Score("s", "higher", 1.0, [1.0] * 12)
    assert alone.interval is None
    assert alone.drop_interval(with_values) is None
    assert with_values.drop_interval(Score("s", "higher", 1.0, [1.0] * 11)) is None

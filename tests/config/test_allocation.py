"""An allocation as it is written, and in a spec."""

import pytest
from pydantic import ValidationError

from pruning_core.config.allocation import check_optimize_for
from pruning_core.config.spec import MethodSpec


def aware(allocation):
    """Return the spec of a method that takes an allocation."""
    return MethodSpec(name="latency-aware", allocation=allocation)


def test_the_order_means_nothing():
    """A table and pairs, in any order, are one spec; it reads back from JSON."""
    spec = aware({"b": 8, "a": 4})
    assert spec.allocation == (("a", 4), ("b", 8))
    assert spec == aware([["b", 8], ["a", 4]]) == MethodSpec.model_validate_json(spec.model_dump_json())


def test_an_empty_one_is_not_in_the_spec():
    """So keys that are older than it stay what they were."""
    assert "allocation" not in MethodSpec().model_dump(mode="json")
    assert aware({"a": 4}).model_dump(mode="json")["allocation"] == [["a", 4]]


@pytest.mark.parametrize(
    "allocation",
    [
        {"a": 0},
        {"a": 1.5},
        {"a": True},
        {"a": "4"},
        {"": 4},
        {"a": 10**9},
        [["a", 4], ["a", 6]],
        ["a"],
        5,
        "a=4",
    ],
    ids=repr,
)
def test_what_is_none_is_refused(allocation):
    """A width is a whole number from 1, a layer has a name and stands once."""
    with pytest.raises(ValidationError, match="allocation"):
        aware(allocation)


def test_a_method_that_would_not_use_it_is_refused():
    """It would change the key, and no channel."""
    with pytest.raises(
        ValidationError, match="only latency-aware takes an allocation; got one for magnitude"
    ):
        MethodSpec(allocation={"a": 4})


@pytest.mark.parametrize("text", ["", "eager", "openvino:int8"])
def test_one_backend_is_taken_as_it_is(text):
    """With or without a precision; none where nothing is to be fast."""
    assert check_optimize_for(text) == text

"""Inputs and outputs of any structure: rows are counted, taken, joined, drawn."""

import pytest
import torch

from pruning_core.models.inputs import (
    count_rows,
    explain,
    join_rows,
    max_channels,
    random_like,
    repeat_rows,
    run,
    take_rows,
    tensors_of,
)

NESTED = {"a": torch.arange(6.0).reshape(3, 2), "b": (torch.zeros(3, 4, 5), [torch.arange(3)])}


def generator():
    """Return a generator of one seed."""
    return torch.Generator().manual_seed(0)


def test_a_tuple_is_positional_and_a_dict_by_name():
    """A tensor is the one argument, a tuple or list are several, a dict names them."""
    one, two = torch.ones(1), torch.ones(2)
    assert run(lambda x: x, one) is one
    assert run(lambda x, y: y, (one, two)) is two
    assert run(lambda x, y: y, [one, two]) is two
    assert run(lambda *, y, x: y, {"x": one, "y": two}) is two


def test_rows():
    """Rows are taken of each tensor alike, repeated in turn, and joined again."""
    assert count_rows(NESTED) == 3
    taken = take_rows(NESTED, slice(1, 2))
    assert [len(tensor) for tensor in tensors_of(taken)] == [1, 1, 1]
    assert repeat_rows(NESTED, 3) is NESTED
    assert repeat_rows(NESTED, 5)["b"][1][0].tolist() == [0, 1, 2, 0, 1]
    joined = join_rows([take_rows(NESTED, slice(0, 1)), take_rows(NESTED, slice(1, 3))])
    for ours, its in zip(tensors_of(joined), tensors_of(NESTED), strict=True):
        assert torch.equal(ours, its)
    with pytest.raises(ValueError, match="structures"):
        join_rows([NESTED, NESTED["a"]])
    with pytest.raises(RuntimeError):
        join_rows([torch.ones(1, 2), torch.ones(1, 3)])


def test_noise_for_an_example_of_zeros():
    """Zeros say nothing of what is allowed: the noise is normal, one generator's numbers in order."""
    drawn = random_like(torch.zeros(1, 2, 3), 4, generator())
    assert torch.equal(drawn, torch.randn(4, 2, 3, generator=generator()))


def test_noise_stays_within_what_was_given():
    """Numbers stay in the range of the given ones, in their type; whole numbers are some of them."""
    given = {
        "x": torch.rand(3, 50) + 2,
        "ids": torch.tensor([[3, 5, 9]] * 3),
        "on": torch.tensor([[True]] * 3),
    }
    drawn = random_like(given, 40, generator())
    assert drawn["x"].min() >= given["x"].min()
    assert drawn["x"].max() <= given["x"].max()
    assert drawn["x"].std() > 0.1
    assert set(drawn["ids"].unique().tolist()) == {3, 5, 9}
    assert drawn["ids"].dtype == torch.int64
    assert bool(drawn["on"].all())
    assert random_like(torch.rand(2, 3).double(), 2, generator()).dtype == torch.float64


def test_words_for_shapes():
    """Errors say shapes in their structure."""
    assert explain(NESTED) == "dict of a 3×2, b tuple of 3×4×5, list of 3"
    assert explain(None) == "NoneType"
    assert explain({}) == "dict of nothing"
    assert max_channels(NESTED) == 4
    assert max_channels(torch.zeros(2, 7)) == 0

"""Hashes of batches: whatever changes in one changes its hash, and those of old keys stay."""

import collections
import dataclasses
import datetime
import enum

import numpy as np
import pytest
import torch

from pruning_core.tasks.digests import UnhashableError, digest_of


@dataclasses.dataclass
class Boxes:
    """A target of a user's own."""

    corners: torch.Tensor
    name: str = "box"


class Color(enum.Enum):
    """Another."""

    RED = 1
    BLUE = 2


class Names(list):
    """A list that torch does not look into."""


def sparse(*values):
    """Return a sparse tensor with these values on its diagonal, each in two halves."""
    indices = torch.arange(len(values)).repeat(2, 2)
    halves = torch.tensor(values).repeat(2) / 2
    return torch.sparse_coo_tensor(indices, halves, (4, 4), check_invariants=False)


def test_hashes_of_old_keys_stay():
    """Tensors, arrays, numbers and texts have the hash that they had before other values had any."""
    tensors = torch.arange(6.0).reshape(2, 3), {"a": torch.tensor([1, 2]), "b": None}
    value = tensors, np.arange(4, dtype=np.int16), [1, 2.5, True, "text", b"bytes"]
    assert digest_of(value) == "57246da496bff54cf266ca975f3bfb215700689a8be9e3be15a4564cc655d9ea"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.int64(1), np.int64(2)),
        (np.int64(1), np.int32(1)),
        (np.bool_(True), np.bool_(False)),
        (np.datetime64("2020-01-01"), np.datetime64("2020-01-02")),
        (np.array(["a", None], object), np.array(["b", None], object)),
        (np.array([(1, "a")], "i4,O"), np.array([(1, "b")], "i4,O")),
        (1 + 2j, 1 + 3j),
        (datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)),
        (Color.RED, Color.BLUE),
        ({1, 2}, {1, 3}),
        (frozenset("ab"), frozenset("ac")),
        (Names([1]), Names([2])),
        (collections.Counter("ab"), collections.Counter("aa")),
        (bytearray(b"a"), bytearray(b"b")),
        (Boxes(torch.ones(2)), Boxes(torch.zeros(2))),
        (Boxes(torch.ones(2)), Boxes(torch.ones(2), "other")),
        (sparse(1.0, 2.0), sparse(1.0, 3.0)),
        (torch.tensor([1, 2]).to(torch.uint16), torch.tensor([1, 3]).to(torch.uint16)),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j]).conj()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_changes_is_seen(one, other):
    """A label of any usual type enters the hash, alone or in a batch; a copy of it has the same."""
    assert digest_of((torch.ones(1), [one])) != digest_of((torch.ones(1), [other]))
    assert digest_of(one) == digest_of(one)


def test_halves_of_a_sparse_tensor_are_summed():
    """Two sparse tensors with the same content have one hash, however it is written down."""
    assert digest_of(sparse(1.0, 2.0)) == digest_of(sparse(1.0, 2.0).coalesce())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "of type object"),
        (print, "of type builtin_function_or_method"),
        (Boxes, "of type type"),
        (torch.empty(2, device="meta"), "without content"),
        (torch.ones(2, 2).to_mkldnn(), "layout mkldnn"),
        (torch.nested.nested_tensor([torch.ones(2), torch.ones(1)], layout=torch.jagged), "nested"),
    ],
    ids=["object", "function", "class", "meta", "mkldnn", "nested"],
)
def test_what_cannot_be_hashed_is_refused(value, said):
    """Else another value would have the same key; where names suffice, that of the type is taken."""
    for holder in ([value], Names([value])):
        with pytest.raises(UnhashableError, match=said):
            digest_of(holder)
        assert digest_of(holder, names_suffice=True)


def test_a_value_that_holds_itself_is_refused():
    """It has no end."""
    value = []
    value.append(value)
    with pytest.raises(UnhashableError, match="holds itself"):
        digest_of(value)

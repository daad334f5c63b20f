"""Hashes of batches and inputs of a user's task: of all that they hold, or of none."""

import dataclasses
import datetime
import decimal
import enum
import fractions
import hashlib
import pathlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from pruning_core.user_code.tensors import unusual_kind

_TELLING = (
    *(complex, range, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction),
    *(uuid.UUID, pathlib.PurePath, torch.dtype, torch.device),
)
"""Types whose text says all that a value is, beside the numbers and texts of Python."""


class UnhashableError(Exception):
    """A value whose content cannot be hashed; the text says what it is."""


def digest_of(value: Any, *, names_suffice: bool = False) -> str:
    """Return the hash of a batch or of inputs: of all values in it, and their structure.

    Args:
        value: Tensors, arrays, numbers, texts, times, and dataclasses, sets and containers of these.
        names_suffice: Whether of other values the name of the type enters.

    Raises:
        UnhashableError: If it holds something else.
    """
    try:
        leaves, structure = tree_flatten(value)
        digest = hashlib.sha256(str(structure).encode())
        for leaf in leaves:
            try:
                for part in _parts_of(leaf, names_suffice):
                    digest.update(part)
            except UnhashableError:
                if not names_suffice:
                    raise
                digest.update(type(leaf).__name__.encode())
    except RecursionError:
        raise UnhashableError("a value that holds itself") from None
    return digest.hexdigest()


def _parts_of(leaf: Any, names_suffice: bool) -> Iterator[Any]:
    """Yield what is hashed of a value. That of tensors, arrays, numbers and texts is in keys of old."""
    if isinstance(leaf, Tensor):
        yield from _parts_of_tensor(leaf)
    elif isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject:
        yield f"{leaf.dtype} {leaf.shape}".encode() + leaf.tobytes()
    elif isinstance(leaf, int | float | str | bytes | bool) or leaf is None:
        yield repr(leaf).encode()
    elif isinstance(leaf, np.generic) and not leaf.dtype.hasobject:
        yield f"scalar {leaf.dtype} ".encode() + leaf.tobytes()
    else:
        kind = type(leaf).__qualname__
        if isinstance(leaf, enum.Enum):
            yield f"{kind} {leaf.name}".encode()
        elif isinstance(leaf, _TELLING):
            yield f"{kind} {leaf!r}".encode()
        elif isinstance(leaf, bytearray | memoryview):
            yield f"{kind} ".encode() + bytes(leaf)
        else:
            yield f"{kind} {digest_of(_items_of(leaf, names_suffice), names_suffice=names_suffice)}".encode()


def _parts_of_tensor(tensor: Tensor) -> Iterator[Any]:
    whole = tensor.detach()
    if whole.layout is torch.sparse_coo and whole.device.type != "meta":
        whole = whole.cpu().coalesce()
        yield f"sparse {tuple(whole.shape)} {digest_of((whole.indices(), whole.values()))}".encode()
        return
    if kind := unusual_kind(whole):
        raise UnhashableError(kind)
    whole = whole.cpu().resolve_conj().resolve_neg().contiguous()
    yield f"{whole.dtype} {tuple(whole.shape)}".encode()
    yield whole.reshape(-1).view(torch.uint8).numpy().data


def _items_of(leaf: Any, names_suffice: bool) -> list[Any]:
    """Return what a container holds that is none to torch."""
    if isinstance(leaf, np.ndarray | np.generic):
        array = np.asarray(leaf)
        return [str(array.dtype), array.shape, *array.reshape(-1).tolist()]
    if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
        return [(field.name, getattr(leaf, field.name, None)) for field in dataclasses.fields(leaf)]
    if isinstance(leaf, set | frozenset):
        return sorted(digest_of(item, names_suffice=names_suffice) for item in leaf)
    if isinstance(leaf, Mapping):
        return list(leaf.items())
    if isinstance(leaf, tuple | list):
        return list(leaf)
    raise UnhashableError(f"a value of type {type(leaf).__qualname__}")

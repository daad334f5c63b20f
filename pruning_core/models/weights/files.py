"""A file of trained weights, as somebody gave it → tensors by name; whatever it holds, nothing of it is run.

`.safetensors`, or what `torch.save` wrote (`torch_file.py`); told apart by content. How the names in it
become those of a network: `names.py`.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pruning_core.console.shown import shortened
from pruning_core.errors import ModelError, first_line
from pruning_core.models.weights.torch_file import read_torch_file

KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "ema_model"),
    *("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params"),
)
"""Under which a file may hold a state dict; the first that it has is taken. Averages go first, as in timm."""

MAX_HEADER_BYTES = 100_000_000
"""Of a `.safetensors`: the format's own limit."""

_MAX_NESTED = 3

_FORMATS = "weights are a .safetensors file, or a state dict that torch.save wrote (.pt, .pth)"


@dataclass(frozen=True)
class WeightsFile:
    """Tensors of a file, by the names that it gives them."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...]  # what a user should know of how they were read


def read_weights_file(path: Path, key: str = "") -> WeightsFile:
    """Read the tensors of a file.

    Args:
        path: The file; a pipe, a device or a folder is refused, and never waited for.
        key: Under which its state dict stands; empty: the first of `KEYS` that it has.

    Raises:
        ModelError: In one line that names the file.
    """
    refused = f"weights {shortened(str(path), 300)}"
    try:
        with _open_regular(path) as (file, size):
            head = file.read(9)
            file.seek(0)
            if head[8:] == b"{":
                return WeightsFile(_read_safetensors(path, int.from_bytes(head[:8], "little"), size), ())
            if head[:4] != b"PK\x03\x04" and head[:1] != b"\x80":
                raise ValueError(f"no such file is known: {_FORMATS}")
            return _state_dict_in(read_torch_file(file, size), key)
    except OSError as error:
        raise ModelError(f"{refused}: {error.strerror or error}") from None
    except MemoryError:
        raise ModelError(f"{refused}: there is not enough memory to read it") from None
    except ValueError as error:
        raise ModelError(f"{refused}: {error}") from error


def check_weights_file(path: Path) -> None:
    """Find out before any work whether a file is there and can be opened.

    Raises:
        ModelError: In one line that names the file.
    """
    try:
        with _open_regular(path):
            pass
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise ModelError(f"weights {shortened(str(path), 300)}: {why}") from None


@contextmanager
def _open_regular(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file that is not empty; give it with its size in bytes."""
    # Without O_NONBLOCK, to open a named pipe that nobody writes to would never return.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise ValueError(f"it is a folder; {_FORMATS}")
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"it is a pipe or a device; {_FORMATS}")
        if status.st_size == 0:
            raise ValueError("it is empty")
        yield file, status.st_size


def _read_safetensors(path: Path, header_bytes: int, size: int) -> dict[str, Tensor]:
    if header_bytes > min(size - 8, MAX_HEADER_BYTES):
        raise ValueError(
            f"its header claims {header_bytes:,} bytes, and the file has {size:,}: it is truncated or damaged"
        )
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ValueError(f"it is truncated or damaged: {first_line(error)}") from error


def _state_dict_in(content: object, key: str) -> WeightsFile:
    if key:
        content = content.get(key) if isinstance(content, Mapping) else None
    found = list(_state_dicts(content, (key,) if key else ()))
    if not found:
        raise ValueError(_nothing_found(content, key))
    (taken, state_dict), *others = found
    notes = []
    if len({where for where, _ in found if where}) > 1:
        names = ", ".join(repr(".".join(where)) for where, _ in others if where)
        notes.append(
            f"the weights under {'.'.join(taken)!r} were taken, not those under {names} "
            "(FILE#KEY takes others)"
        )
    tensors = {name: value for name, value in state_dict.items() if isinstance(value, Tensor)}
    for name, tensor in tensors.items():
        if tensor.is_quantized or tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{name!r} is a tensor of another kind: quantized, sparse, or without content")
    return WeightsFile(tensors, tuple(notes))


def _state_dicts(
    content: object, where: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, object]]]:
    """Yield what may be a state dict, what lies deeper first, with the keys that lead there."""
    if not isinstance(content, Mapping) or len(where) > _MAX_NESTED:
        return
    for key in KEYS:
        if isinstance(content.get(key), Mapping):
            yield from _state_dicts(content[key], (*where, key))
    if any(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()):
        yield where, {name: value for name, value in content.items() if isinstance(name, str)}


def _nothing_found(content: object, key: str) -> str:
    if key and not isinstance(content, Mapping):
        return f"it holds no state dict under {shortened(key, 100)!r}"
    if not isinstance(content, Mapping):
        return f"it holds a {type(content).__name__}, and no state dict"
    inner = [
        str(k) for k, value in content.items() if isinstance(value, Mapping) and list(_state_dicts(value, ()))
    ]
    if inner:
        names = ", ".join(shortened(name, 100) for name in inner[:5])
        return f"its state dict stands under none of the usual keys; name one of {names}: FILE#{inner[0]}"
    return "it holds no tensors by name, and so no state dict"

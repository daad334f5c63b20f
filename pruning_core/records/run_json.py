"""The bytes of a benchmark JSON file → what we want of it, at a cost that is bounded whatever the file holds.

A run's raw samples are most of its file; they are stepped over and never become objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pruning_core.console.shown import shortened
from pruning_core.errors import RecordError
from pruning_core.files.input import decode_json, read_bytes, why_unreadable

MAX_BYTES = 256_000_000
MAX_ENTRIES = 100_000
"""Ours have 5 kB an entry."""

_MAX_ENTRY_BYTES = 4_000_000
_MAX_INFO_BYTES = 1_000_000


class _Entry(msgspec.Struct):
    """What we want of an entry, not decoded yet; a decoder of this type steps over the rest."""

    extra_info: msgspec.Raw = msgspec.Raw(b"null")


class _File(msgspec.Struct):
    benchmarks: list[_Entry]
    machine_info: msgspec.Raw = msgspec.Raw(b"null")
    commit_info: msgspec.Raw = msgspec.Raw(b"null")
    datetime: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Content:
    """What we want of a file."""

    infos: Iterable[Any]  # `extra_info` of each entry
    machine_info: Any
    commit_info: Any
    datetime: Any


def read_run_bytes(path: Path) -> bytes:
    """Read a benchmark JSON file as it is.

    Raises:
        RecordError: If it is not there, cannot be read, is empty, or larger than `MAX_BYTES`.
    """
    try:
        data = read_bytes(path, MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise RecordError(f"cannot read {shortened(str(path), 300)}: {why_unreadable(error)}") from None
    if not data.strip():
        raise RecordError(f"{path} is empty: the run that should have written it did not end")
    return data


def read_fast(data: bytes, path: Path) -> Content:
    """Read a file that is JSON; raw samples, and whatever else we do not want, are stepped over."""
    # Each object takes some memory before it can be counted, also an empty one.
    if data.count(b"{") > 30 * MAX_ENTRIES:
        raise RecordError(f"{path} is not a benchmark file of ours: it holds more than {MAX_ENTRIES} entries")
    file = msgspec.json.decode(data, type=_File)
    if len(file.benchmarks) > MAX_ENTRIES:
        raise RecordError(f"{path} holds {len(file.benchmarks)} entries; {MAX_ENTRIES} can be read")
    for number, entry in enumerate(file.benchmarks):
        if len(bytes(entry.extra_info)) > _MAX_ENTRY_BYTES:
            raise RecordError(f"{path}: entry {number} is larger than {_MAX_ENTRY_BYTES / 1e6:g} MB")
    infos = (msgspec.json.decode(entry.extra_info) for entry in file.benchmarks)
    about = []
    for name in ("machine_info", "commit_info", "datetime"):
        raw = getattr(file, name)
        if len(bytes(raw)) > _MAX_INFO_BYTES:
            raise RecordError(f"{path}: {name} is larger than {_MAX_INFO_BYTES / 1e6:g} MB")
        about.append(msgspec.json.decode(raw))
    return Content(infos, *about)


def read_slowly(data: bytes, path: Path) -> Content:
    """Read a file by Python's own decoder, which makes objects of all it holds."""
    try:
        content = decode_json(data)
    except ValueError as error:
        raise RecordError(
            f"{path} is no complete JSON ({shortened(str(error), 120)}): truncated, or not a benchmark file"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        if isinstance(content, dict) and str(content.get("what", "")).startswith("pruning-bench "):
            raise RecordError(f"{path} is a file of `{shortened(content['what'], 60)}`, and no run")
        raise RecordError(f"{path} is not a pytest-benchmark file: it has no list 'benchmarks'")
    entries = (entry if isinstance(entry, dict) else {} for entry in content["benchmarks"])
    about = (content.get(name) for name in ("machine_info", "commit_info", "datetime"))
    return Content((entry.get("extra_info") for entry in entries), *about)

"""Benchmark JSON files, as `pytest bench/ --benchmark-json` writes them → runs of records.

A run's raw samples are most of its file; they are stepped over and never become objects. Whatever comes
from a file is checked against the table of fields, and made printable. Not for: the fields (`records.py`).
Must not import torch.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pruning_core.errors import RecordError
from pruning_core.records import (
    FIELDS,
    RANGES,
    SCHEMA_VERSION,
    STATUSES,
    Field,
    Record,
    is_kind,
    problem_with,
)

_KNOWN: dict[str, tuple[Field, type, tuple[Any, Any, str] | None]] = {
    field.name: (field, field.kind, RANGES.get(field.name)) for field in FIELDS
}

# Control characters and halves of surrogate pairs: they would act on a terminal, or cannot be written.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_NO_COMMIT = ("unversioned", "unknown")
"""What pytest-benchmark writes for a commit outside of a repository, and where git gives no answer."""


@dataclass(frozen=True)
class Run:
    """One benchmark JSON file, without its raw samples; or several of one thing, taken together."""

    path: Path
    datetime: str
    machine: Mapping[str, Any]  # machine_info["pruning_bench"], see measure/machine.py
    commit: str
    records: tuple[Record, ...]
    again: tuple[Path, ...] = ()  # files that were taken together with it
    remarks: tuple[str, ...] = ()  # what to know of that

    @property
    def machine_name(self) -> str:
        """A short name of the machine for a table's head."""
        return str(self.machine.get("name") or self.machine.get("cpu_model") or "unknown machine")


class _Entry(msgspec.Struct):
    """What we want of an entry, not decoded yet; a decoder of this type steps over the rest."""

    extra_info: msgspec.Raw = msgspec.Raw(b"null")


class _File(msgspec.Struct):
    benchmarks: list[_Entry]
    machine_info: Any = None
    commit_info: Any = None
    datetime: Any = None


def read_run(path: Path) -> Run:
    """Read a benchmark JSON file of ours.

    Args:
        path: What `pytest bench/ --benchmark-json PATH` wrote.

    Returns:
        The run, its raw samples left behind.

    Raises:
        RecordError: If the file is not there, empty, truncated, of another tool, of a newer schema, or
            holds a field of the wrong type or a number that cannot be.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error}") from None
    if not data.strip():
        raise RecordError(f"{path} is empty: the run that should have written it did not end")
    try:
        file = msgspec.json.decode(data, type=_File)
        infos: Iterable[Any] = (msgspec.json.decode(entry.extra_info) for entry in file.benchmarks)
        records = _records_of(infos, path)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # NaN, which Python writes and JSON has not; or damage, which the slower reader names.
        file, infos = _read_slowly(data, path)
        records = _records_of(infos, path)
    machine = file.machine_info.get("pruning_bench") if isinstance(file.machine_info, dict) else None
    commit = file.commit_info.get("id") if isinstance(file.commit_info, dict) else None
    if commit in _NO_COMMIT:
        commit = ""
    return Run(
        path=path,
        datetime=_plain(file.datetime),
        machine=_printable(machine, depth=4) if isinstance(machine, dict) else {},
        commit=_plain(commit),
        records=records,
    )


def _read_slowly(data: bytes, path: Path) -> tuple[_File, list[Any]]:
    """Read a file by Python's own decoder; return what is said of the run, and each entry's `extra_info`."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} is no complete JSON ({error}): truncated, or not a benchmark file"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise RecordError(f"{path} is not a pytest-benchmark file: it has no list 'benchmarks'")
    entries = (entry if isinstance(entry, dict) else {} for entry in content["benchmarks"])
    about = {name: content.get(name) for name in ("machine_info", "commit_info", "datetime")}
    return _File([], **about), [entry.get("extra_info") for entry in entries]


def _records_of(infos: Iterable[Any], path: Path) -> tuple[Record, ...]:
    shared: dict[str, str] = {}
    made = (_record_of(info, number, path, shared) for number, info in enumerate(infos))
    records = tuple(record for record in made if record)
    if not records:
        raise RecordError(
            f"{path} holds no entry of pruning-bench: write it with `pytest bench/ --benchmark-json`"
        )
    return records


def _record_of(info: Any, number: int, path: Path, shared: dict[str, str]) -> Record | None:
    """Check an entry and return its record; None when it is somebody else's benchmark in the same file.

    Args:
        info: The `extra_info` of an item of `benchmarks`.
        number: The item's place there.
        path: Of the file, for messages.
        shared: Texts that the file has had before, printable: most are the same in many records.
    """
    if not isinstance(info, dict) or "schema_version" not in info:
        return None
    version = info["schema_version"]
    if not is_kind(version, int) or version < 1:
        raise RecordError(f"{path}: entry {number} has schema_version {_shown(version)}, not a whole number")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema {_shown(version)}; this program reads up to {SCHEMA_VERSION}. "
            "Update pruning-bench."
        )
    for name in ("suite", "cell", "status"):
        if not isinstance(info.get(name), str) or not info[name]:
            raise RecordError(f"{path}: entry {number} has no {name!r}")
    if info["status"] not in STATUSES:
        raise RecordError(
            f"{path}: entry {_shown(info['cell'])} has status {_shown(info['status'])}; "
            f"allowed: {', '.join(STATUSES)}"
        )
    record: Record = {}
    for name, value in info.items():
        known = _KNOWN.get(name)
        if known is None:
            continue  # a user's own; our outputs are made of the table's fields only
        field, kind, limits = known
        # Files hold millions of values, nearly all of them a number in its range or a text seen before.
        if type(value) is kind:
            if limits and limits[0] <= value <= limits[1]:
                record[field.name] = value  # the table's own name: one text for all records
                continue
            if kind is str and not field.unit and value in shared:
                record[field.name] = shared[value]
                continue
        problem = problem_with(field, value)
        if problem:
            raise RecordError(
                f"{path}: entry {_shown(info['cell'])} has {name} = {_shown(value)}, not {problem}"
            )
        if field.kind is str:
            value = shared.setdefault(value, _printable(value, depth=0))
        elif field.kind is dict:
            value = _printable(value, depth=1)
        record[field.name] = value
    return record


def _printable(value: Any, depth: int) -> Any:
    """Return a value from a file without what a terminal, a page or a JSON writer would stumble over."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_plain(k): _printable(v, depth - 1) for k, v in value.items()} if depth else {}
    if isinstance(value, list):
        return [_printable(item, depth - 1) for item in value] if depth else []
    return value


def _plain(value: object) -> str:
    return _UNPRINTABLE.sub("\ufffd", value) if isinstance(value, str) else ""


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number too long to print; nesting too deep
        text = "…"
    return _UNPRINTABLE.sub("\ufffd", text if len(text) <= 60 else text[:60] + "…")

"""Benchmark JSON files, as `pytest bench/ --benchmark-json` writes them → runs of records.

Whatever comes from a file is checked against the table of fields, for what it lacks and where it contradicts
itself, and made printable. Must not import torch.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pruning_core.console.shown import UNPRINTABLE, shown
from pruning_core.errors import RecordError
from pruning_core.records.damage import contradiction_in
from pruning_core.records.earlier import OLD_NAMES, OLD_VALUES
from pruning_core.records.fields import FIELDS, NULLABLE, SCHEMA_VERSION, STATUSES, Field, Record
from pruning_core.records.run_json import MAX_ENTRIES, read_fast, read_run_bytes, read_slowly
from pruning_core.records.values import RANGES, is_kind, value_problem

_Known = tuple[Field, type, tuple[Any, Any, str] | None]
_KNOWN: dict[str, _Known] = {field.name: (field, field.kind, RANGES.get(field.name)) for field in FIELDS}
_KNOWN_BEFORE_3: dict[str, _Known] = {
    **{name: known for name, known in _KNOWN.items() if name not in OLD_NAMES.values()},
    **{old: _KNOWN[name] for old, name in OLD_NAMES.items()},
}

_REWORDED = {name for name, _ in OLD_VALUES}
"""Fields whose text may be another one in earlier schemas."""

_OF_LAYERS = tuple(field.name for field in FIELDS if field.kind is dict)

MAX_ROUNDS_IN_FILE = 4_000_000
MAX_LAYERS_IN_FILE = 1_000_000
"""With these a file is read into less than 1 GB of memory, whatever it holds (see `run_json.py` too)."""

_MAX_FACT_LENGTH = 500
"""Characters of a machine's fact."""

_CUT = {"failure": 2000, "contention": 2000}
"""Texts that say something at length: longer ones are cut, not refused."""

_NO_COMMIT = ("unversioned", "unknown")
"""What pytest-benchmark writes for a commit outside of a repository, and where git gives no answer."""


@dataclass(frozen=True)
class Run:
    """One benchmark JSON file, without its raw samples; or several of one thing, merged."""

    path: Path
    datetime: str
    machine: Mapping[str, Any]  # machine_info["pruning_bench"], see measure/machine.py
    commit: str
    records: tuple[Record, ...]
    repetitions: tuple[Path, ...] = ()  # files that were merged into it
    notes: tuple[str, ...] = ()  # what to know of that

    @property
    def machine_name(self) -> str:
        """A short name of the machine for a table's head."""
        return str(self.machine.get("name") or self.machine.get("cpu_model") or "unknown machine")


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
    return run_of(read_run_bytes(path), path)


def run_of(data: bytes, path: Path) -> Run:
    """Return the run that a file's bytes hold (see `read_run`).

    Args:
        data: What the file holds.
        path: Where it lies, for messages and tables.
    """
    try:
        content = read_fast(data, path)
        records = _records_of(content.infos, path)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # NaN, which Python writes and JSON has not; or damage, which the slower reader names.
        content = read_slowly(data, path)
        records = _records_of(content.infos, path)
    machine, commit = (
        about.get(name) if isinstance(about, dict) else None
        for about, name in ((content.machine_info, "pruning_bench"), (content.commit_info, "id"))
    )
    if commit in _NO_COMMIT:
        commit = ""
    return Run(
        path=path,
        datetime=_plain(content.datetime)[:100],
        machine=_facts_of(machine, path) if isinstance(machine, dict) else {},
        commit=_plain(commit)[:100],
        records=records,
    )


def _records_of(infos: Iterable[Any], path: Path) -> tuple[Record, ...]:
    shared: dict[str, str] = {}
    records = []
    rounds = layers = 0
    for number, info in enumerate(infos):
        record = _record_of(info, number, path, shared)
        if record is None:
            continue
        if problem := contradiction_in(record):
            raise RecordError(f"{path}: entry {shown(record['cell'])} {problem}: the record is damaged")
        records.append(record)
        rounds += len(record.get("log_ratios", ()))
        layers += sum(len(record.get(name, ())) for name in _OF_LAYERS)
        if len(records) > MAX_ENTRIES or rounds > MAX_ROUNDS_IN_FILE or layers > MAX_LAYERS_IN_FILE:
            raise RecordError(
                f"{path} holds more than can be read: {MAX_ENTRIES} entries, {MAX_ROUNDS_IN_FILE} rounds, "
                f"{MAX_LAYERS_IN_FILE} values of layers. Split the run"
            )
    if not records:
        raise RecordError(
            f"{path} holds no entry of pruning-bench: write it with `pytest bench/ --benchmark-json`"
        )
    return tuple(records)


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
        raise RecordError(f"{path}: entry {number} has schema_version {shown(version)}, not a whole number")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema {shown(version)}; this program reads up to {SCHEMA_VERSION}. "
            "Update pruning-bench."
        )
    for name in ("suite", "cell", "status"):
        if not isinstance(info.get(name), str) or not info[name]:
            raise RecordError(f"{path}: entry {number} has no {name!r}")
    if info["status"] not in STATUSES:
        raise RecordError(
            f"{path}: entry {shown(info['cell'])} has status {shown(info['status'])}; "
            f"allowed: {', '.join(STATUSES)}"
        )
    record: Record = {}
    old = version < 3
    fields = _KNOWN_BEFORE_3 if old else _KNOWN
    for name, value in info.items():
        known = fields.get(name)
        if known is None:
            continue  # a user's own; our outputs are made of the table's fields only
        field, kind, limits = known
        # Files hold millions of values, nearly all of them a number in its range or a text seen before.
        if type(value) is kind:
            if limits and limits[0] <= value <= limits[1]:
                record[field.name] = value  # the table's own name: one text for all records
                continue
            if kind is str and not field.unit and value in shared and not (old and name in _REWORDED):
                record[field.name] = shared[value]
                continue
        if value is None and field.name in NULLABLE:
            continue
        if field.name in _CUT and isinstance(value, str) and len(value) > _CUT[field.name]:
            value = f"{value[: _CUT[field.name]]}…"
        if old and name in _REWORDED and isinstance(value, str):
            value = OLD_VALUES.get((field.name, value), value)
        problem = value_problem(field, value)
        if problem:
            raise RecordError(
                f"{path}: entry {shown(info['cell'])} has {name} = {shown(value)}, not {problem}"
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
        return UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return (
            {_plain(k)[:_MAX_FACT_LENGTH]: _printable(v, depth - 1) for k, v in value.items()}
            if depth
            else {}
        )
    if isinstance(value, list):
        return [_printable(item, depth - 1) for item in value] if depth else []
    return value


def _facts_of(machine: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return what is said of a machine, printable."""
    if long := [
        name for name, value in machine.items() if isinstance(value, str) and len(value) > _MAX_FACT_LENGTH
    ]:
        raise RecordError(
            f"{path}: machine_info has a text of more than {_MAX_FACT_LENGTH} characters: {shown(long[0])}"
        )
    facts: dict[str, Any] = _printable(machine, depth=4)
    return facts


def _plain(value: object) -> str:
    return UNPRINTABLE.sub("\ufffd", value) if isinstance(value, str) else ""

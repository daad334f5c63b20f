"""The record: what is stored about a cell, field by field, and the reader of benchmark JSON files.

A record is the flat `extra_info` of a pytest-benchmark entry. `FIELDS` is the one table of its fields; the
table in the README is printed from it. Times are stored in the unit that the name says, fractions in [0, 1].

Schema history:
    1  first.
    2  latency_p95_ms is of single calls, no longer of samples; agreement stands in latency records too; new
       optional fields: why a cell is not faster, what disturbed it, how long it took to make it ready.

Not for: measuring (`measure/`), tables (`report/`), verdicts (`gate.py`). Must not import torch.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning_core.errors import RecordError

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Field:
    """One field of the record: its name, unit, the suites that write it, and what it means."""

    name: str
    kind: type
    unit: str
    suites: str
    meaning: str


_ALL, _COST, _ACC, _LAT, _RUN = "all", "cost", "accuracy", "latency", "accuracy, latency"

FIELDS: tuple[Field, ...] = (
    Field("schema_version", int, "", _ALL, "version of this table"),
    Field("suite", str, "", _ALL, "`cost`, `accuracy` or `latency`"),
    Field("cell", str, "", _ALL, "id of the cell, the same in every run of the same grid"),
    Field("status", str, "", _ALL, "`ok`, or `failed` when an assertion did not hold"),
    Field("failure", str, "", _ALL, "why it failed; empty when ok"),
    Field("model", str, "", _ALL, "name of the network"),
    Field("dataset", str, "", _ALL, "name of the dataset, without its path"),
    Field("dataset_fingerprint", str, "", _ALL, "hash of all pixels and labels"),
    Field("method", str, "", _ALL, "pruning method; `dense` for the unpruned network"),
    Field("ratio", float, "fraction", _ALL, "channels removed, asked for; 0 for dense"),
    Field("schedule", str, "", _ALL, "`iterative` or `one-shot`"),
    Field("scope", str, "", _ALL, "`local` or `global`"),
    Field("round_to", int, "channels", _ALL, "kept widths are multiples of this"),
    Field("key", str, "", _ALL, "key of the checkpoint"),
    Field("seed", int, "", _ALL, "seed of the training"),
    Field("exhausted", bool, "", _ALL, "this step removed nothing that the one before had not"),
    Field("macs", int, "multiply-adds", _COST, "for one image, as torch-pruning counts"),
    Field("params", int, "", _COST, "number of parameters"),
    Field("size_bytes", int, "bytes", _COST, "size of the weights file"),
    Field(
        "achieved_ratio",
        float,
        "fraction",
        _COST,
        "output channels of convolutions removed, all layers together",
    ),
    Field("widths", dict, "channels", _COST, "layer → kept output channels, for every prunable layer"),
    Field("dense_widths", dict, "channels", _COST, "layer → output channels of the dense model"),
    Field("train_precision", str, "", _COST, "what the training precision resolved to"),
    Field("train_device", str, "", _COST, "what the training device resolved to"),
    Field("epochs", int, "", _COST, "epochs of training (dense) or fine-tuning (pruned)"),
    Field("backend", str, "", _RUN, "what executes the checkpoint"),
    Field("precision", str, "", _RUN, "`fp32`, `bf16`, `fp16` or `int8`"),
    Field("device", str, "", _RUN, "`cpu`, `cuda:0`, …"),
    Field("threads", int, "", _RUN, "CPU threads used"),
    Field(
        "accuracy", float, "fraction", _RUN, "top-1 on the whole test split, on this backend and precision"
    ),
    Field("accuracy_low", float, "fraction", _RUN, "lower 95 % Wilson bound"),
    Field("accuracy_high", float, "fraction", _RUN, "upper 95 % Wilson bound"),
    Field("accuracy_n", int, "images", _RUN, "images in the test split"),
    Field(
        "accuracy_pruned", float, "fraction", _ACC, "before fine-tuning, on eager; same as accuracy for dense"
    ),
    Field("dense_accuracy", float, "fraction", _ACC, "of the dense model on the same backend and precision"),
    Field("accuracy_drop", float, "fraction", _ACC, "dense_accuracy − accuracy"),
    Field("accuracy_floor", float, "fraction", _ACC, "least accuracy that passes"),
    Field("accuracy_allowed_drop", float, "fraction", _ACC, "largest drop that passes"),
    Field("agreement", float, "fraction", _RUN, "test images with the same top-1 as eager fp32"),
    Field("agreement_floor", float, "fraction", _RUN, "least agreement that passes"),
    Field("logit_difference", float, "logits", _RUN, "largest difference of a logit from eager fp32"),
    Field("memory_format", str, "", _RUN, "how images lie in memory; `backend`: it decides by itself"),
    Field("load_s", float, "s", _RUN, "seconds to export, compile or quantize the model for the backend"),
    Field(
        "right_answers",
        str,
        "hex",
        _ACC,
        "one bit a test image, first image first, 1 = right (see `pack_answers`)",
    ),
    Field("batch_size", int, "images", _LAT, "images in one call"),
    Field("latency_ms", float, "ms", _LAT, "median time of one call"),
    Field("latency_low_ms", float, "ms", _LAT, "lower bound of that median"),
    Field("latency_high_ms", float, "ms", _LAT, "upper bound of that median"),
    Field("latency_p50_ms", float, "ms", _LAT, "median of single calls"),
    Field("latency_p95_ms", float, "ms", _LAT, "95th percentile of single calls; 20 calls or more"),
    Field("latency_p99_ms", float, "ms", _LAT, "99th percentile of single calls; 100 calls or more"),
    Field("calls_timed", int, "", _LAT, "single calls that the percentiles are of"),
    Field("images_per_s", float, "1/s", _LAT, "batch size ÷ latency"),
    Field("reference", str, "", _LAT, "id of the cell that this one is paired with"),
    Field("reference_latency_ms", float, "ms", _LAT, "median time of one call of the reference, same rounds"),
    Field("speedup", float, "ratio", _LAT, "reference time ÷ this time, from pairs"),
    Field("speedup_low", float, "ratio", _LAT, "lower bound, exact, from order statistics"),
    Field("speedup_high", float, "ratio", _LAT, "upper bound, exact, from order statistics"),
    Field("confidence", float, "fraction", _LAT, "coverage of the intervals in this record that was reached"),
    Field("log_ratios", list, "ln ratio", _LAT, "one ln(this ÷ reference) a round"),
    Field("rounds", int, "", _LAT, "A B B A rounds"),
    Field("looks", int, "", _LAT, "planned looks at the interval; the chance of error is split over them"),
    Field("calls_per_sample", int, "", _LAT, "calls that one sample is the mean of"),
    Field("control", bool, "", _LAT, "A/A control: paired with a copy of itself"),
    Field(
        "contaminated",
        bool,
        "",
        _LAT,
        "not to be trusted: the A/A control of this run left the tolerance, or the machine was disturbed",
    ),
    Field("disturbance", str, "", _LAT, "what disturbed the machine meanwhile, in words; empty when nothing"),
    Field("steal_share", float, "fraction", _LAT, "of our cores' time, taken by the hypervisor"),
    Field("others_share", float, "fraction", _LAT, "of our cores' time, used by other processes"),
    Field("cpu_mhz_low", float, "MHz", _LAT, "lowest clock of the CPU seen"),
    Field("cpu_mhz_high", float, "MHz", _LAT, "highest clock of the CPU seen"),
    Field("gpu_mhz_low", float, "MHz", _LAT, "lowest clock of the GPU seen"),
    Field("gpu_mhz_high", float, "MHz", _LAT, "highest clock of the GPU seen"),
    Field("mac_reduction", float, "ratio", _LAT, "MACs of the reference ÷ MACs of this"),
    Field(
        "mac_efficiency", float, "ratio", _LAT, "speedup ÷ mac_reduction; 1: every MAC saved is time saved"
    ),
    Field("device_ms", float, "ms", _LAT, "time of a call on the GPU by its own clock, calls back to back"),
    Field("launch_ms", float, "ms", _LAT, "time in which the host hands a call to the GPU"),
    Field("launch_bound", bool, "", _LAT, "the GPU waits for the host: launch_ms is most of device_ms"),
    Field("peak_memory_bytes", int, "bytes", _LAT, "most memory in use in a call, where the device says"),
    Field("matrix_gflops", float, "GFLOP/s", _LAT, "fastest matrix product of this run, this precision"),
    Field("bandwidth_gb_s", float, "GB/s", _LAT, "fastest stream through memory of this run"),
    Field(
        "roofline_fraction",
        float,
        "ratio",
        _LAT,
        "least time by those two (arithmetic; weights and images moved once) ÷ latency",
    ),
    Field("roofline_bound", str, "", _LAT, "which of the two: `matrix` or `bandwidth`"),
)

FIELD_BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}

STATUSES = ("ok", "failed")

LARGEST = {"ms": 1e9, "ratio": 1e9, "1/s": 1e12, "ln ratio": 50.0, "MHz": 1e6, "GFLOP/s": 1e9, "GB/s": 1e9}
"""Positive numbers beyond these (in absolute value, for ln) are no measurement but damage."""

Record = dict[str, Any]

# Control characters and halves of surrogate pairs: they would act on a terminal, or cannot be written.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Run:
    """One benchmark JSON file, without its raw samples."""

    path: Path
    datetime: str
    machine: Mapping[str, Any]  # machine_info["pruning_bench"], see measure/machine.py
    commit: str
    records: tuple[Record, ...]

    @property
    def machine_name(self) -> str:
        """A short name of the machine for a table's head."""
        return str(self.machine.get("name") or self.machine.get("cpu_model") or "unknown machine")


def make_record(**fields: Any) -> Record:
    """Check fields against the table and return them as a record.

    Raises:
        TypeError: If a field is not in the table, of another type, or has a value that `read_run` would
            refuse: a mistake of ours.
    """
    for name, value in fields.items():
        field = FIELD_BY_NAME.get(name)
        if field is None:
            raise TypeError(f"the record has no field {name!r}")
        problem = _problem_with(field, value)
        if problem:
            raise TypeError(f"record field {name!r} must be {problem}, came {value!r}")
    return {"schema_version": SCHEMA_VERSION, **fields}


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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read {path}: {error}") from None
    if not text.strip():
        raise RecordError(f"{path} is empty: the run that should have written it did not end")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} is no complete JSON ({error}): truncated, or not a benchmark file"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise RecordError(f"{path} is not a pytest-benchmark file: it has no list 'benchmarks'")
    records = tuple(_records_of(content["benchmarks"], path))
    if not records:
        raise RecordError(
            f"{path} holds no entry of pruning-bench: write it with `pytest bench/ --benchmark-json`"
        )
    machine_info = content.get("machine_info")
    machine = machine_info.get("pruning_bench") if isinstance(machine_info, dict) else None
    commit_info = content.get("commit_info")
    commit = commit_info.get("id") if isinstance(commit_info, dict) else None
    return Run(
        path=path,
        datetime=_plain(content.get("datetime")),
        machine=_printable(machine, depth=4) if isinstance(machine, dict) else {},
        commit=_plain(commit),
        records=records,
    )


def field_table() -> str:
    """Return the table of all fields as Markdown, as it stands in the README."""
    rows = ["| field | unit | suites | meaning |", "|---|---|---|---|"]
    rows += [f"| `{f.name}` | {f.unit} | {f.suites} | {f.meaning} |" for f in FIELDS]
    return "\n".join(rows)


def pack_answers(right: Iterable[bool]) -> str:
    """Return which answers were right as hex digits, for the field `right_answers`.

    The first image is the highest bit of the first digit; the last digit is filled up with zeros. So that
    the gate can compare two runs image by image.
    """
    bits = "".join("1" if item else "0" for item in right)
    digits = -(-len(bits) // 4)
    return f"{int(bits.ljust(4 * digits, '0'), 2):0{digits}x}" if bits else ""


def _records_of(entries: Iterable[object], path: Path) -> Iterable[Record]:
    for position, entry in enumerate(entries):
        info = entry.get("extra_info") if isinstance(entry, dict) else None
        if not isinstance(info, dict) or "schema_version" not in info:
            continue  # somebody else's benchmark in the same file
        version = info["schema_version"]
        if not _is_kind(version, int) or version < 1:
            raise RecordError(
                f"{path}: entry {position} has schema_version {_shown(version)}, not a whole number"
            )
        if version > SCHEMA_VERSION:
            raise RecordError(
                f"{path} has schema {_shown(version)}; this program reads up to {SCHEMA_VERSION}. "
                "Update pruning-bench."
            )
        for name in ("suite", "cell", "status"):
            if not isinstance(info.get(name), str) or not info[name]:
                raise RecordError(f"{path}: entry {position} has no {name!r}")
        if info["status"] not in STATUSES:
            raise RecordError(
                f"{path}: entry {_shown(info['cell'])} has status {_shown(info['status'])}; "
                f"allowed: {', '.join(STATUSES)}"
            )
        record: Record = {}
        for name, value in info.items():
            field = FIELD_BY_NAME.get(name)
            if field is None:
                continue  # a user's own; our outputs are made of the table's fields only
            problem = _problem_with(field, value)
            if problem:
                raise RecordError(
                    f"{path}: entry {_shown(info['cell'])} has {name} = {_shown(value)}, not {problem}"
                )
            record[name] = _printable(value, depth=2) if field.kind in (str, dict) else value
        yield record


def _problem_with(field: Field, value: object) -> str:
    """Return what the value should have been, or nothing when it is as it should be."""
    largest = LARGEST.get(field.unit)
    if not _is_kind(value, field.kind):
        return field.kind.__name__
    if field.kind is int and not (1 if field.unit == "images" else 0) <= value < 2**63:  # type: ignore[operator]  # _is_kind has shown that it is an int
        return "a count"
    if field.unit == "fraction":
        # A drop is a difference of two fractions.
        low = -1 if field.name.endswith("drop") else 0
        return "" if low <= value <= 1 else f"a fraction in [{low}, 1]"  # type: ignore[operator]  # a float, as above
    if isinstance(value, list) and largest is not None:
        fine = all(_is_kind(item, float) and abs(item) <= largest for item in value)
        return "" if fine else f"a list of numbers within ±{largest:g}"
    if isinstance(value, dict):
        fine = all(_is_kind(item, int) and 0 <= item < 2**63 for item in value.values())
        return "" if fine else "a count for each layer"
    if field.unit == "hex":
        return "" if re.fullmatch("[0-9a-f]*", str(value)) else "hex digits"
    if largest is not None and not 0 < value <= largest:  # type: ignore[operator]  # a float, as above
        return f"above 0 and at most {largest:g}"
    return ""


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


def _is_kind(value: object, kind: type) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind is float:
        # Not beyond 1e300: a whole number that long cannot be made a float.
        return isinstance(value, int | float) and value == value and abs(value) < 1e300
    return isinstance(value, kind)

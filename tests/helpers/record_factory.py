"""Benchmark JSON files as `pytest bench/` writes them, made up from a seed: the fixture of report and gate.

The numbers hang together as measured ones do (speed-ups are those of their rounds, Wilson intervals those of
their counts); none of them was measured. Not for: anything published.
"""

import copy
import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pruning_core.records.run import Run, read_run
from tests.helpers.made_up_records import (
    BACKEND_SPEEDUP,
    MODEL,
    accuracy_fields,
    accuracy_record,
    answers_of,
    cost_record,
    latency_record,
    speed_fields,
)

Content = dict[str, Any]

BACKENDS = tuple(BACKEND_SPEEDUP)


def make_content(
    *,
    seed: int = 0,
    ratios: Sequence[float] = (0.25, 0.5, 0.75),
    backends: Sequence[str] = BACKENDS,
    batch_sizes: Sequence[int] = (1, 32),
    rounds: int = 10,
    noise: float = 0.01,
    device: str = "cpu",
    machine: str = "box-a",
    suites: Sequence[str] = ("cost", "accuracy", "latency"),
    paired: bool = True,
) -> Content:
    """Make the content of one benchmark JSON file.

    Args:
        seed: Of the noise of times; everything else is the same for every seed.
        ratios: Of the pruned cells; the dense ones are always there.
        backends: Each `name:precision`; `eager:fp32` first.
        batch_sizes: Of the latency cells.
        rounds: Of each latency cell.
        noise: Standard deviation of one round's log-ratio.
        device: Of all cells.
        machine: Its name, from which its fingerprint is made.
        suites: Which suites ran.
        paired: Whether accuracy records say which images were right.
    """
    noise_source = random.Random(seed)
    entries = []
    variants = [0.0, *ratios]
    if "cost" in suites:
        entries += [entry_of(cost_record(ratio)) for ratio in variants]
    for backend in backends:
        if "accuracy" in suites:
            entries += [entry_of(accuracy_record(ratio, backend, device, paired)) for ratio in variants]
        for batch_size in batch_sizes if "latency" in suites else ():
            for ratio in variants:
                record = latency_record(ratio, backend, device, batch_size, rounds, noise, noise_source)
                entries.append(entry_of(record))
    return {
        "machine_info": {
            "node": machine,
            "pruning_bench": {
                "name": f"{machine} (Xeon, 8 cores)",
                "fingerprint": hashlib.sha256(machine.encode()).hexdigest()[:16],
                "cpu_model": f"Xeon of {machine}",
                "cores": 8,
                "torch": "2.13.0",
                "threads": 8,
            },
        },
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": entries,
        "datetime": f"2026-01-{1 + seed % 28:02d}T12:00:00+00:00",
        "version": "5.3.1",
    }


def find(content: Content, identity: tuple[str, str]) -> dict[str, Any]:
    """Return the record of one (suite, cell), to be changed in place."""
    found = [e["extra_info"] for e in content["benchmarks"] if _is(e, identity)]
    assert len(found) == 1, identity
    return found[0]


def remove(content: Content, identity: tuple[str, str]) -> None:
    """Take one cell out."""
    before = len(content["benchmarks"])
    content["benchmarks"] = [e for e in content["benchmarks"] if not _is(e, identity)]
    assert len(content["benchmarks"]) == before - 1


def repeat(content: Content, identity: tuple[str, str]) -> None:
    """Put one cell in a second time."""
    (entry,) = [e for e in content["benchmarks"] if _is(e, identity)]
    content["benchmarks"].append(copy.deepcopy(entry))


def slow_down(record: dict[str, Any], factor: float) -> None:
    """Make a latency record's cell slower (factor > 1) relative to its reference."""
    set_rounds(record, [x + math.log(factor) for x in record["log_ratios"]])


def set_rounds(record: dict[str, Any], log_ratios: list[float]) -> None:
    """Give a latency record other rounds, and all that follows from them."""
    record.update(speed_fields(log_ratios, record["reference_latency_ms"], record["batch_size"]))
    if "mac_reduction" in record:
        record["mac_efficiency"] = record["speedup"] / record["mac_reduction"]


def set_right(record: dict[str, Any], right: int) -> None:
    """Give a record another number of correct predictions: the first ones are lost, or none."""
    record.update(accuracy_fields(right))
    if "correct_bits" in record:
        record["correct_bits"] = answers_of(right)


def records_of(content: Content, suite: str) -> Iterator[dict[str, Any]]:
    """Walk over the records of a suite."""
    for entry in content["benchmarks"]:
        if entry["extra_info"]["suite"] == suite:
            yield entry["extra_info"]


def set_bounds(record: dict[str, Any], low: float, high: float) -> None:
    """Give a latency record ten rounds whose interval has these bounds, which are those of the speed-up."""
    set_rounds(record, rounds_within(low, high))


def rounds_within(low: float, high: float) -> list[float]:
    """Return ten rounds whose interval has these bounds, which are those of the speed-up."""
    bottom, top = -math.log(high), -math.log(low)
    return [bottom, *(bottom + (top - bottom) * i / 7 for i in range(8)), top]


def settle(record: dict[str, Any]) -> None:
    """Let what follows from other numbers of a record follow from them, after a test changed some."""
    highest = 0.0
    for name in ("latency_p05_ms", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms"):
        if name in record:
            highest = record[name] = max(highest, record[name])
    if {"latency_p05_ms", "latency_high_ms"} <= record.keys():
        record["latency_high_ms"] = max(record["latency_high_ms"], record["latency_p05_ms"])
    if {"accuracy", "dense_accuracy"} <= record.keys():
        record["accuracy_drop"] = record["dense_accuracy"] - record["accuracy"]
    if {"images_per_s", "latency_ms", "batch_size"} <= record.keys():
        record["images_per_s"] = 1e3 * record["batch_size"] / record["latency_ms"]
    if {"mac_efficiency", "speedup"} <= record.keys():
        record["mac_efficiency"] = record["speedup"] / record["mac_reduction"]


def write(content: Content, path: Path) -> Path:
    """Write a benchmark JSON file of records that hang together (see `settle`)."""
    for entry in content["benchmarks"]:
        settle(entry["extra_info"])
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_large(path: Path, cells: int, *, seed: int = 0, rounds: int = 20) -> Path:
    """Write a benchmark JSON file of many cells as pytest-benchmark does, indented, a network at a time.

    Args:
        path: Where to.
        cells: How many entries.
        seed: Of the noise of times.
        rounds: Of each latency cell; its entry has twice as many raw samples.
    """
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < cells:
            content = make_content(seed=seed + written, rounds=rounds)
            entries = content.pop("benchmarks")[: cells - written]
            if not written:
                content["datetime"] = f"2026-01-{1 + seed % 28:02d}T12:00:00+00:00"
                head = json.dumps({**content, "benchmarks": []}, indent=4)
                file.write(head.removesuffix("]\n}"))
            text = json.dumps(entries, indent=4).replace(MODEL, f"net{written:06d}")
            file.write(("," if written else "") + text[1:-2])
            written += len(entries)
        file.write("\n]\n}")
    return path


def as_run(content: Content, folder: Path, name: str = "run.json") -> Run:
    """Write a benchmark JSON file and read it back."""
    return read_run(write(content, folder / name))


def _is(entry: dict[str, Any], identity: tuple[str, str]) -> bool:
    return (entry["extra_info"]["suite"], entry["extra_info"]["cell"]) == identity


def entry_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a benchmark JSON file that holds a record."""
    seconds = record.get("latency_ms", 5.0) / 1e3
    # Of each round A B B A, the two samples of this cell; as fine as those of a clock.
    data = [seconds * math.exp(x / 2) for x in record.get("log_ratios", [0.0]) for _ in range(2)]
    return {
        "group": record["suite"],
        "name": f"test_{record['suite']}[{record['cell']}]",
        "fullname": f"bench/test_{record['suite']}.py::test_{record['suite']}[{record['cell']}]",
        "params": None,
        "param": None,
        "extra_info": record,
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5, "warmup": False},
        "stats": {
            "min": min(data),
            "max": max(data),
            "mean": seconds,
            "median": seconds,
            "rounds": len(data),
            "data": data,
            "iterations": 1,
        },
    }

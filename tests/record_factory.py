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
from statistics import median
from typing import Any

from pruning_core.intervals import median_interval, wilson_interval
from pruning_core.records import make_record, pack_answers
from pruning_core.run_files import Run, read_run

Content = dict[str, Any]

MODEL, DATASET = "resnet18", "digits"
MACS = {0.0: 555_422_720, 0.25: 313_000_000, 0.5: 139_400_000, 0.75: 35_180_000, 0.95: 4_630_000}
PARAMS = {0.0: 11_173_962, 0.25: 6_290_000, 0.5: 2_797_610, 0.75: 701_466, 0.95: 28_410}
RIGHT = {0.0: 350, 0.25: 351, 0.5: 348, 0.75: 344, 0.95: 300}  # of 360
IMAGES = 360
BACKEND_SPEEDUP = {"eager:fp32": 1.0, "eager:bf16": 1.8, "onnxruntime:fp32": 1.4, "openvino:fp32": 1.6}
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
        entries += [_entry(_cost(ratio)) for ratio in variants]
    for backend in backends:
        if "accuracy" in suites:
            entries += [_entry(_accuracy(ratio, backend, device, paired)) for ratio in variants]
        for batch_size in batch_sizes if "latency" in suites else ():
            for ratio in variants:
                record = _latency(ratio, backend, device, batch_size, rounds, noise, noise_source)
                entries.append(_entry(record))
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
    log_ratios = [x + math.log(factor) for x in record["log_ratios"]]
    record.update(_speed_fields(log_ratios, record["reference_latency_ms"], record["batch_size"]))


def set_right(record: dict[str, Any], right: int) -> None:
    """Give a record another number of right answers: the first ones are lost, or none."""
    record.update(_accuracy_fields(right))
    if "right_answers" in record:
        record["right_answers"] = _answers(right)


def records_of(content: Content, suite: str) -> Iterator[dict[str, Any]]:
    """Walk over the records of a suite."""
    for entry in content["benchmarks"]:
        if entry["extra_info"]["suite"] == suite:
            yield entry["extra_info"]


def write(content: Content, path: Path) -> Path:
    """Write a benchmark JSON file."""
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


def _variant(ratio: float) -> str:
    return f"{MODEL}-{DATASET}-dense" if ratio == 0 else f"{MODEL}-{DATASET}-magnitude-{ratio:g}"


def _common(suite: str, cell: str, ratio: float) -> dict[str, Any]:
    return {
        "suite": suite,
        "cell": cell,
        "status": "ok",
        "failure": "",
        "model": MODEL,
        "dataset": DATASET,
        "dataset_fingerprint": "d161700000000000",
        "method": "magnitude" if ratio else "dense",
        "ratio": ratio,
        "schedule": "iterative",
        "scope": "local",
        "round_to": 2,
        "key": hashlib.sha256(_variant(ratio).encode()).hexdigest()[:32],
        "seed": 0,
        "exhausted": False,
    }


def _cost(ratio: float) -> dict[str, Any]:
    widths = {"conv1": round(64 * (1 - ratio)), "layer1.0.conv1": round(64 * (1 - ratio))}
    return make_record(
        **_common("cost", _variant(ratio), ratio),
        macs=MACS[ratio],
        params=PARAMS[ratio],
        size_bytes=4 * PARAMS[ratio] + 20_000,
        achieved_ratio=ratio,
        widths=widths,
        dense_widths={"conv1": 64, "layer1.0.conv1": 64},
        sparsity=0.0,
        train_precision="fp32",
        train_device="cpu",
        train_s=60.0,
        train_outside_s=1.5,
        epochs=2 if ratio else 10,
    )


def _right(ratio: float, backend: str) -> int:
    return RIGHT[ratio] - (1 if backend.endswith("bf16") else 0)


def _answers(right: int) -> str:
    return pack_answers(i >= IMAGES - right for i in range(IMAGES))


def _accuracy_fields(right: int) -> dict[str, Any]:
    low, high = wilson_interval(right, IMAGES)
    return {"accuracy": right / IMAGES, "accuracy_low": low, "accuracy_high": high, "accuracy_n": IMAGES}


def _answer_fields(backend: str) -> dict[str, Any]:
    return {
        "agreement": 1.0 if backend == "eager:fp32" else 359 / 360,
        "agreement_floor": 0.98,
        "logit_difference": 0.0 if backend == "eager:fp32" else 0.02,
        "memory_format": "channels_last" if backend.startswith("eager") else "backend",
        "load_s": 0.2,
    }


def _where(backend: str, device: str) -> dict[str, Any]:
    name, precision = backend.split(":")
    return {"backend": name, "precision": precision, "device": device, "threads": 8}


def _cell(ratio: float, backend: str, device: str) -> str:
    return f"{_variant(ratio)}-{backend.replace(':', '-')}-{device.replace(':', '')}"


def _accuracy(ratio: float, backend: str, device: str, paired: bool) -> dict[str, Any]:
    right, dense = _right(ratio, backend), _right(0.0, backend)
    return make_record(
        **_common("accuracy", _cell(ratio, backend, device), ratio),
        **_where(backend, device),
        **_accuracy_fields(right),
        accuracy_pruned=(right - 60 * (ratio > 0)) / IMAGES,
        dense_accuracy=dense / IMAGES,
        accuracy_drop=(dense - right) / IMAGES,
        accuracy_floor=0.5,
        accuracy_allowed_drop=0.3,
        **_answer_fields(backend),
        **({"right_answers": _answers(right)} if paired else {}),
    )


def _speed_fields(log_ratios: list[float], reference_ms: float, batch_size: int) -> dict[str, Any]:
    low, high, coverage = median_interval(log_ratios)
    latency = reference_ms * math.exp(median(log_ratios))
    return {
        "log_ratios": log_ratios,
        "rounds": len(log_ratios),
        "speedup": math.exp(-median(log_ratios)),
        "speedup_low": math.exp(-high),
        "speedup_high": math.exp(-low),
        "confidence": coverage,
        "latency_ms": latency,
        "latency_low_ms": latency * 0.99,
        "latency_high_ms": latency * 1.01,
        "latency_p05_ms": latency * 0.96,
        "latency_p50_ms": latency * 0.998,
        "latency_p95_ms": latency * 1.03,
        "latency_p99_ms": latency * 1.2,
        "calls_timed": 100 * len(log_ratios),
        "looks": 1,
        "images_per_s": 1e3 * batch_size / latency,
        "reference_latency_ms": reference_ms,
    }


def _latency(
    ratio: float,
    backend: str,
    device: str,
    batch_size: int,
    rounds: int,
    noise: float,
    source: random.Random,
) -> dict[str, Any]:
    dense_ms = 4.0 + 0.5 * batch_size
    is_control = ratio == 0 and backend == "eager:fp32"
    factor = BACKEND_SPEEDUP[backend] if ratio == 0 else 1 / (1 - 0.95 * ratio)
    reference_ms = dense_ms if ratio == 0 else dense_ms / BACKEND_SPEEDUP[backend]
    scale = noise / 4 if is_control else noise  # so that chance alone seldom contaminates a run
    log_ratios = [-math.log(factor) + source.gauss(0, scale) for _ in range(rounds)]
    reference = f"{_cell(0.0, backend if ratio else 'eager:fp32', device)}-b{batch_size}"
    return make_record(
        **_common("latency", f"{_cell(ratio, backend, device)}-b{batch_size}", ratio),
        **_where(backend, device),
        **_accuracy_fields(_right(ratio, backend)),
        **_answer_fields(backend),
        **_reason_fields(ratio, factor),
        batch_size=batch_size,
        reference=reference,
        **_speed_fields(log_ratios, reference_ms, batch_size),
        calls_per_sample=5,
        control=is_control,
        contaminated=False,
    )


def _reason_fields(ratio: float, speedup: float) -> dict[str, Any]:
    reduction = MACS[0.0] / MACS[ratio]
    return {
        "mac_reduction": reduction,
        "mac_efficiency": speedup / reduction,
        "device_ms": 3.0,
        "launch_ms": 0.5,
        "launch_bound": False,
        "peak_memory_bytes": 50_000_000,
        "matrix_gflops": 200.0,
        "bandwidth_gb_s": 20.0,
        "roofline_fraction": 0.4,
        "roofline_bound": "matrix",
        "disturbance": "",
        "steal_share": 0.0,
        "others_share": 0.02,
        "cpu_mhz_low": 2600.0,
        "cpu_mhz_high": 3100.0,
        "gpu_mhz_low": 1980.0,
        "gpu_mhz_high": 1980.0,
    }


def _entry(record: dict[str, Any]) -> dict[str, Any]:
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

"""Records made up from a ratio, a backend and a seed: their numbers hang together as measured ones do.

Not for: files of them (`record_factory.py`).
"""

import hashlib
import math
import random
from statistics import median
from typing import Any

from pruning_core.records.record import make_record, pack_correct_bits
from pruning_core.stats.intervals import median_interval, wilson_interval

MODEL, DATASET = "resnet18", "digits"
MACS = {0.0: 555_422_720, 0.25: 313_000_000, 0.5: 139_400_000, 0.75: 35_180_000, 0.95: 4_630_000}
PARAMS = {0.0: 11_173_962, 0.25: 6_290_000, 0.5: 2_797_610, 0.75: 701_466, 0.95: 28_410}
RIGHT = {0.0: 350, 0.25: 351, 0.5: 348, 0.75: 344, 0.95: 300}  # of 360
IMAGES = 360
BACKEND_SPEEDUP = {"eager:fp32": 1.0, "eager:bf16": 1.8, "onnxruntime:fp32": 1.4, "openvino:fp32": 1.6}


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


def cost_record(ratio: float) -> dict[str, Any]:
    """Make the cost record of a ratio."""
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
        train_overhead_s=1.5,
        epochs=2 if ratio else 10,
    )


def _right(ratio: float, backend: str) -> int:
    return RIGHT[ratio] - (1 if backend.endswith("bf16") else 0)


def answers_of(right: int) -> str:
    """Pack answers of which the last so many are right."""
    return pack_correct_bits(i >= IMAGES - right for i in range(IMAGES))


def accuracy_fields(right: int) -> dict[str, Any]:
    """Return the fields of an accuracy with so many correct predictions."""
    low, high = wilson_interval(right, IMAGES)
    return {"accuracy": right / IMAGES, "accuracy_low": low, "accuracy_high": high, "accuracy_n": IMAGES}


def _answer_fields(backend: str) -> dict[str, Any]:
    return {
        "agreement": 1.0 if backend == "eager:fp32" else 359 / 360,
        "min_agreement": 0.98,
        "logit_difference": 0.0 if backend == "eager:fp32" else 0.02,
        "memory_format": "channels_last" if backend.startswith("eager") else "backend",
        "setup_s": 0.2,
    }


def _where(backend: str, device: str) -> dict[str, Any]:
    name, precision = backend.split(":")
    return {"backend": name, "precision": precision, "device": device, "threads": 8}


def _cell(ratio: float, backend: str, device: str) -> str:
    return f"{_variant(ratio)}-{backend.replace(':', '-')}-{device.replace(':', '')}"


def accuracy_record(ratio: float, backend: str, device: str, paired: bool) -> dict[str, Any]:
    """Make the accuracy record of a ratio on a backend."""
    right, dense = _right(ratio, backend), _right(0.0, backend)
    return make_record(
        **_common("accuracy", _cell(ratio, backend, device), ratio),
        **_where(backend, device),
        **accuracy_fields(right),
        accuracy_pruned=(right - 60 * (ratio > 0)) / IMAGES,
        dense_accuracy=dense / IMAGES,
        accuracy_drop=(dense - right) / IMAGES,
        min_accuracy=0.5,
        max_accuracy_drop=0.3,
        **_answer_fields(backend),
        **({"correct_bits": answers_of(right)} if paired else {}),
    )


def rounds_fields(log_ratios: list[float]) -> dict[str, Any]:
    """Return the fields of a speed-up that these rounds come to."""
    low, high, coverage = median_interval(log_ratios)
    return {
        "log_ratios": log_ratios,
        "rounds": len(log_ratios),
        "speedup": math.exp(-median(log_ratios)),
        "speedup_low": math.exp(-high),
        "speedup_high": math.exp(-low),
        "confidence": coverage,
        "looks": 1,
    }


def speed_fields(log_ratios: list[float], reference_ms: float, batch_size: int) -> dict[str, Any]:
    """Return the fields of times that these rounds, and the time of the reference, come to."""
    latency = reference_ms * math.exp(median(log_ratios))
    return {
        **rounds_fields(log_ratios),
        "latency_ms": latency,
        "latency_low_ms": latency * 0.99,
        "latency_high_ms": latency * 1.01,
        "latency_p05_ms": latency * 0.96,
        "latency_p50_ms": latency * 0.998,
        "latency_p95_ms": latency * 1.03,
        "latency_p99_ms": latency * 1.2,
        "calls_timed": 100 * len(log_ratios),
        "images_per_s": 1e3 * batch_size / latency,
        "reference_latency_ms": reference_ms,
    }


def latency_record(
    ratio: float,
    backend: str,
    device: str,
    batch_size: int,
    rounds: int,
    noise: float,
    source: random.Random,
) -> dict[str, Any]:
    """Make the latency record of a ratio on a backend; its rounds scatter by `noise`."""
    dense_ms = 4.0 + 0.5 * batch_size
    is_control = ratio == 0 and backend == "eager:fp32"
    factor = BACKEND_SPEEDUP[backend] if ratio == 0 else 1 / (1 - 0.95 * ratio)
    reference_ms = dense_ms if ratio == 0 else dense_ms / BACKEND_SPEEDUP[backend]
    scale = noise / 4 if is_control else noise  # so that chance alone seldom contaminates a run
    log_ratios = [-math.log(factor) + source.gauss(0, scale) for _ in range(rounds)]
    times = speed_fields(log_ratios, reference_ms, batch_size)
    reference = f"{_cell(0.0, backend if ratio else 'eager:fp32', device)}-b{batch_size}"
    return make_record(
        **_common("latency", f"{_cell(ratio, backend, device)}-b{batch_size}", ratio),
        **_where(backend, device),
        **accuracy_fields(_right(ratio, backend)),
        **_answer_fields(backend),
        **_reason_fields(ratio, times["speedup"]),
        batch_size=batch_size,
        reference=reference,
        **times,
        calls_per_sample=5,
        is_control=is_control,
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
        "peak_gflops": 200.0,
        "bandwidth_gb_s": 20.0,
        "roofline_fraction": 0.4,
        "roofline_bound": "compute",
        "contention": "",
        "steal_share": 0.0,
        "other_cpu_share": 0.02,
        "cpu_mhz_low": 2600.0,
        "cpu_mhz_high": 3100.0,
        "gpu_mhz_low": 1980.0,
        "gpu_mhz_high": 1980.0,
    }

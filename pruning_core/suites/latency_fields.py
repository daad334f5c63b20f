"""What a paired measurement says of a cell, and why the cell is not faster than it is.

A fraction of the MACs is seldom the same fraction of the time. So beside the speed-up stand the reduction of
MACs and their quotient, and how near the cell is to the roofline of this machine.
"""

from statistics import median
from typing import Any

import numpy as np

from pruning_core.backends.base import DeviceTime
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.precision import PRECISIONS
from pruning_core.measure.paired import PairedTiming, latency_interval, speedup_interval
from pruning_core.records.mac_counts import counted_alike, counts_of
from pruning_core.store.checkpoint import Metrics
from pruning_core.suites.cell_fields import mac_fields
from pruning_core.system.contention import Contention, contention_reason
from pruning_core.system.roofline import Roofline, roofline_time

CALLS_FOR_P95, CALLS_FOR_P99 = 20, 100
"""With fewer calls the percentile would be the slowest call, whatever it was."""


def timing_fields(timing: PairedTiming, options: LatencyOptions, batch_size: int) -> dict[str, Any]:
    """Return times of one call and the speed-up over the reference, with their bounds.

    Args:
        timing: What was measured.
        options: How; its confidence is that of the bounds.
        batch_size: Images in one call.
    """
    latency_s, latency_low_s, latency_high_s = latency_interval(timing, options.confidence)
    call_times_s = np.asarray(timing.call_times_s)
    fields: dict[str, Any] = {
        "latency_ms": latency_s * 1e3,
        "latency_low_ms": latency_low_s * 1e3,
        "latency_high_ms": latency_high_s * 1e3,
        "latency_p05_ms": float(np.quantile(call_times_s, 0.05)) * 1e3,
        "latency_p50_ms": float(np.quantile(call_times_s, 0.5)) * 1e3,
        "calls_timed": len(call_times_s),
        "images_per_s": batch_size / latency_s,
        "reference_latency_ms": timing.reference_latency_s * 1e3,
        **speedup_fields(timing, options),
    }
    if len(call_times_s) >= CALLS_FOR_P95:
        fields["latency_p95_ms"] = float(np.quantile(call_times_s, 0.95)) * 1e3
    if len(call_times_s) >= CALLS_FOR_P99:
        fields["latency_p99_ms"] = float(np.quantile(call_times_s, 0.99)) * 1e3
    return fields


def speedup_fields(timing: PairedTiming, options: LatencyOptions) -> dict[str, Any]:
    """Return the speed-up over the reference with its bounds, and how it was measured.

    Args:
        timing: What was measured.
        options: How; its confidence is that of the bounds.
    """
    low, high, coverage = speedup_interval(timing, options.confidence)
    fork_join_s = [seconds for seconds in timing.fork_join_s if seconds > 0]
    return {
        "speedup": timing.speedup,
        "speedup_low": low,
        "speedup_high": high,
        "confidence": coverage,
        "log_ratios": list(timing.log_ratios),
        "rounds": timing.rounds,
        "looks": timing.looks,
        "rounds_rejected": timing.rounds_rejected,
        "calls_per_sample": timing.calls_per_sample,
        **({"fork_join_us": median(fork_join_s) * 1e6} if fork_join_s else {}),
    }


def efficiency_fields(
    timing: PairedTiming,
    metrics: Metrics,
    reference: Metrics,
    roofline: Roofline | None,
    device_time: DeviceTime | None,
    *,
    precision: str,
    batch_size: int,
    image_values: int,
) -> dict[str, Any]:
    """Return what a reader needs to see why the cell is not faster.

    Args:
        timing: What was measured.
        metrics: Of this checkpoint: MACs for one image, bytes of its weights in float32.
        reference: Of the reference's.
        roofline: Of this machine in this precision, where that was measured.
        device_time: By the device's own clock, where it has one.
        precision: Of weights and images.
        batch_size: Images in one call.
        image_values: Numbers in one image, C × H × W.
    """
    fields = _reduction_fields(timing, metrics, reference)
    if device_time is not None:
        fields |= {
            "device_ms": device_time.device_s * 1e3,
            "launch_ms": device_time.launch_s * 1e3,
            "launch_bound": device_time.launch_bound,
        }
    if roofline is not None:
        width, in_file = PRECISIONS[precision].bytes_per_value, PRECISIONS["fp32"].bytes_per_value
        # Activations are left out: a perfect program would keep them in its caches. So this is a minimum.
        moved = metrics.size_bytes / in_file * width + batch_size * image_values * width
        min_s, bound = roofline_time(2 * metrics.macs * batch_size, moved, roofline)
        fields |= {
            "peak_gflops": roofline.peak_flops_per_s / 1e9,
            "bandwidth_gb_s": roofline.bandwidth_bytes_per_s / 1e9,
            "roofline_fraction": min_s / timing.latency_s,
            "roofline_bound": bound,
        }
    return fields


def _reduction_fields(timing: PairedTiming, metrics: Metrics, reference: Metrics) -> dict[str, Any]:
    before, now = counted_alike(counts_of(mac_fields(reference)), counts_of(mac_fields(metrics)))
    if not before or not now:  # a network without any product: nothing was saved
        return {}
    return {"mac_reduction": before / now, "mac_efficiency": timing.speedup * now / before}


def contention_fields(contention: Contention) -> dict[str, Any]:
    """Return what else happened on the machine meanwhile; what the platform does not tell is left out."""
    facts = {
        "steal_share": contention.steal_share,
        "other_cpu_share": contention.other_cpu_share,
        "cpu_mhz_low": contention.cpu_mhz_low,
        "cpu_mhz_high": contention.cpu_mhz_high,
        "gpu_mhz_low": contention.gpu_mhz_low,
        "gpu_mhz_high": contention.gpu_mhz_high,
    }
    reason = contention_reason(contention)
    known = {name: float(value) for name, value in facts.items() if value is not None}
    return {"contention": reason, "contaminated": bool(reason), **known}

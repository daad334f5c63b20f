"""What a CUDA device itself measures of a call: its time, the host's time to launch it, and peak memory.

How and why: `README.md`, "Timing on CUDA".
"""

import time
from collections.abc import Callable
from statistics import median

import torch

from pruning_core.backends.base import DeviceTime

CALLS = 8
"""Calls that are launched back to back between two events."""

REPEATS = 5
"""Measurements of which the median is taken, after one more that warms up."""


def time_back_to_back(launch: Callable[[], object], device: torch.device) -> DeviceTime:
    """Return device time by events, and host time to launch, both in seconds per call.

    Args:
        launch: Launches one run on the device's current stream and does not wait for it.
        device: A CUDA device.
    """
    with torch.cuda.device(device):  # events are recorded on the current device
        _launch_between_events(launch)
        times = [_launch_between_events(launch) for _ in range(REPEATS)]
    return DeviceTime(
        device_s=median(each.device_s for each in times), launch_s=median(each.launch_s for each in times)
    )


def _launch_between_events(launch: Callable[[], object]) -> DeviceTime:
    # torch has no annotations for the constructors of its CUDA classes.
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    launches_s = []
    torch.cuda.synchronize()
    first.record()
    for _ in range(CALLS):
        begin = time.perf_counter()
        launch()
        launches_s.append(time.perf_counter() - begin)
    last.record()
    torch.cuda.synchronize()
    # elapsed_time is in ms. The median of single launches: a driver queues a limited number of kernels and
    # then makes the host wait, so that later calls of a deep network would look slow to launch.
    return DeviceTime(device_s=first.elapsed_time(last) / 1000 / CALLS, launch_s=median(launches_s))


def measure_peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Return by how many bytes PyTorch's allocated memory on a CUDA device rises during a call, at the peak.

    Args:
        call: Runs the model once.
        device: A CUDA device.
    """
    call()  # the first one allocates workspaces, which belong to the process
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before

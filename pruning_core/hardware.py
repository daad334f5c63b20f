"""What this machine's processors can do: bfloat16 in hardware, and how many cores we may use.

Stands low: training asks it which precision `auto` means, measuring asks it how many threads to use. Not
for: describing the machine in a record; that is `measure/machine.py`.
"""

import math
import os
from pathlib import Path

import psutil
import torch

from pruning_core.errors import OptionError


def fast_bf16(device: str) -> bool:
    """Tell whether `device` computes in bfloat16 by instructions of its own, and so faster than in float32.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps`, …
    """
    kind = device.partition(":")[0]
    if kind == "cpu":
        return cpu_bf16() != "none"
    # Without emulation: torch also says yes to GPUs that would compute bfloat16 by way of float32.
    return (
        kind == "cuda"
        and torch.cuda.is_available()
        and torch.cuda.is_bf16_supported(including_emulation=False)
    )


def cpu_bf16() -> str:
    """Return which bfloat16 instructions this CPU has: `amx`, `avx512_bf16` or `none`."""
    if _torch_says("_is_amx_tile_supported", "amx_bf16"):
        return "amx"
    if _torch_says("_is_avx512_bf16_supported", "avx512_bf16"):
        return "avx512_bf16"
    return "none"


def usable_cores() -> int:
    """Return how many physical cores this process may keep busy, by affinity and by container quota."""
    logical = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    # Two logical cores of one physical core share its vector units: more threads than that only wait.
    physical = psutil.cpu_count(logical=False) or logical
    return max(1, min(allowed, physical, _quota()))


def resolve_threads(asked: int) -> int:
    """Return the number of CPU threads to use.

    Args:
        asked: At least 1, or 0 for as many as this process may use.

    Raises:
        OptionError: If it is negative.
    """
    if asked < 0:
        raise OptionError(f"threads must be 1 or more, or 0 for all usable cores; came {asked}")
    return asked or usable_cores()


def _torch_says(name: str, flag: str) -> bool:
    # Private functions that came with different releases: 2.11 lacks some that 2.13 has.
    ask = getattr(torch.cpu, name, None)
    return bool(ask()) if ask is not None else flag in cpu_flags()


def cpu_flags() -> frozenset[str]:
    """Return what Linux says this CPU can do; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the cores that a container's CPU quota amounts to, rounded up; very many without a quota."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max 100000"
        return 2**31

"""Contention: what other processes, the hypervisor (steal time) and clocks did while something was measured.

Pairs cancel a slow drift, not a neighbour that runs now and then. A reader of a number must see whether the
machine was free. Evidence: `measure/README.md`.
"""

import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import torch

from pruning_core.system.clock import Clock

MAX_OTHER_SHARE = 0.10
"""About what a desktop and its services take; more of it meets one call of a pair and not the other."""

MAX_STEAL_SHARE = 0.05
"""Below the share of others, as steal time is always taken from us: others may use cores that are idle."""

GPU_CLOCK_STEADY_WITHIN = 0.10
"""A GPU's clock always moves by small steps; a tenth is heat or a power limit."""

MIN_MONITORED_S = 0.2
"""CPU times are counted in ticks, which are too large a part of anything shorter."""

READ_CLOCKS_EVERY_S = 1.0
"""`sample` does nothing when the clocks were read less than this ago: `nvidia-smi` is slow."""


@dataclass(frozen=True)
class CpuTimes:
    """CPU time counted so far, over the cores that we may use; seconds."""

    total: float  # idle and stolen included
    busy: float  # by anyone on this machine
    stolen: float | None  # by the hypervisor; None where the platform does not say
    own: float  # of `busy`: by this process; its children compete with it like anyone else


@dataclass(frozen=True)
class Contention:
    """What else happened; None where the platform does not say."""

    steal_share: float | None  # of the CPU time of the cores we may use, in [0, 1]
    other_cpu_share: float | None  # likewise: used by other processes
    cpu_mhz_low: float | None  # of the fastest core, over the readings
    cpu_mhz_high: float | None
    gpu_mhz_low: float | None  # of the multiprocessors, over the readings; only for a CUDA device
    gpu_mhz_high: float | None
    wall_s: float


def read_cpu_times() -> CpuTimes:
    """Read the CPU time of the cores that we may use, and our own, by psutil; all 0 where it is not known."""
    try:
        every, own_s = psutil.cpu_times(percpu=True), _own_cpu_s()
    except (OSError, psutil.Error):  # no /proc, as in some sandboxes
        return CpuTimes(0.0, 0.0, None, 0.0)
    cores = _usable_cores(len(every))
    ours = [every[core] for core in cores]
    # Not `guest`: it is in `user` already.
    busy = sum(
        getattr(core, field, 0.0) for core in ours for field in ("user", "nice", "system", "irq", "softirq")
    )
    idle = sum(getattr(core, field, 0.0) for core in ours for field in ("idle", "iowait"))
    stolen = sum(core.steal for core in ours) if all(hasattr(core, "steal") for core in ours) else None
    return CpuTimes(busy + idle + (stolen or 0.0), busy, stolen, own_s)


def read_cpu_mhz(root: Path = Path("/sys/devices/system/cpu")) -> float | None:
    """Return the clock of the fastest core that we may use: it is the one that computes.

    Not from `/proc/cpuinfo`: in a virtual machine it repeats one nominal figure.
    """
    clocks_khz = []
    for core in _usable_cores(os.cpu_count() or 1):
        try:
            text = (root / f"cpu{core}" / "cpufreq" / "scaling_cur_freq").read_text(encoding="ascii")
            clocks_khz.append(float(text))
        except (OSError, ValueError):
            continue
    return max(clocks_khz) / 1e3 if clocks_khz else None


def read_gpu_mhz(device: str) -> float | None:
    """Return the clock of a CUDA device's multiprocessors, by NVML or else by one query of `nvidia-smi`.

    Args:
        device: `cuda`, `cuda:1`; None is returned for any other kind.
    """
    if not device.startswith("cuda"):
        return None
    try:
        return float(torch.cuda.clock_rate(torch.device(device)))
    except Exception:  # NVML is not installed, or has errors that descend from nothing more special
        return _ask_nvidia_smi(device)


class ContentionMonitor:
    """Monitors the machine while a block runs; leave the block as soon as the work is done.

        with ContentionMonitor("cpu") as monitor:
            ...  # monitor.sample() between rounds
        monitor.contention

    Clocks are read by `sample` and at the end, not at the start: a device that has yet to do something
    clocks low. The readings run in the caller's thread, so that none of them falls into a timed sample.
    """

    def __init__(
        self,
        device: str,
        *,
        read_cpu: Callable[[], CpuTimes] = read_cpu_times,
        read_cpu_clock: Callable[[], float | None] = read_cpu_mhz,
        read_gpu_clock: Callable[[str], float | None] = read_gpu_mhz,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._device = device
        self._read_cpu = read_cpu
        self._read_cpu_clock = read_cpu_clock
        self._read_gpu_clock = read_gpu_clock
        self._clock = clock
        self._cpu_mhz: list[float] = []
        self._gpu_mhz: list[float] = []
        self._sampled_at = -math.inf
        self._contention: Contention | None = None

    def __enter__(self) -> Self:
        self._before = self._read_cpu()
        self._began = self._clock()
        return self

    def sample(self) -> None:
        """Read the clocks, if that was not done just now."""
        now = self._clock()
        if now - self._sampled_at < READ_CLOCKS_EVERY_S:
            return
        self._sampled_at = now
        if (cpu_mhz := self._read_cpu_clock()) is not None:
            self._cpu_mhz.append(cpu_mhz)
        if (gpu_mhz := self._read_gpu_clock(self._device)) is not None:
            self._gpu_mhz.append(gpu_mhz)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall_s = self._clock() - self._began
        after = self._read_cpu()
        self.sample()
        self._contention = Contention(
            *_shares(self._before, after), *_range(self._cpu_mhz), *_range(self._gpu_mhz), wall_s
        )

    @property
    def contention(self) -> Contention:
        """What else happened.

        Raises:
            RuntimeError: If the block has not ended: a mistake of ours.
        """
        if self._contention is None:
            raise RuntimeError("contention is known when the block of its monitor has ended, not before")
        return self._contention


def contention_reason(contention: Contention) -> str:
    """Say in words what harms a measurement that was made meanwhile; empty when nothing does."""
    if contention.wall_s < MIN_MONITORED_S:
        return ""
    reasons = []
    if (others := contention.other_cpu_share or 0.0) > MAX_OTHER_SHARE:
        reasons.append(f"other processes used {100 * others:.0f} % of the cores")
    if (stolen := contention.steal_share or 0.0) > MAX_STEAL_SHARE:
        reasons.append(f"the hypervisor took {100 * stolen:.0f} % of the CPU time")
    low, high = contention.gpu_mhz_low or 0.0, contention.gpu_mhz_high or 0.0
    if low < (1 - GPU_CLOCK_STEADY_WITHIN) * high:
        reasons.append(f"the GPU clock moved between {low:.0f} and {high:.0f} MHz")
    return " and ".join(reasons)


def _shares(before: CpuTimes, after: CpuTimes) -> tuple[float | None, float | None]:
    """Return the hypervisor's and the others' share; both None where less than a tick lies between."""
    total = after.total - before.total
    if total <= 0:
        return None, None
    others = (after.busy - before.busy) - (after.own - before.own)
    if before.stolen is None or after.stolen is None:
        return None, _fraction(others / total)
    return _fraction((after.stolen - before.stolen) / total), _fraction(others / total)


def _fraction(value: float) -> float:
    # Ticks of one process and of all cores are not counted at the same moment.
    return min(1.0, max(0.0, value))


def _range(readings: list[float]) -> tuple[float | None, float | None]:
    return (min(readings), max(readings)) if readings else (None, None)


def _usable_cores(cores: int) -> list[int]:
    """Return the numbers of the cores that we may use."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(cores)
    # All of them where cores are switched off, so that numbers are not indices.
    return sorted(allowed) if max(allowed) < cores else list(range(cores))


def _own_cpu_s() -> float:
    """Return the CPU seconds of this process: all its threads, none of its children."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


def _ask_nvidia_smi(device: str) -> float | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        # By its own name: the numbers of nvidia-smi ignore CUDA_VISIBLE_DEVICES.
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        command = [program, "-i", name, "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return float(output.stdout)
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError, ValueError):
        return None

"""What this machine's processors can do, and what follows from it: precision, memory format, threads.

Two environment variables make PyTorch use less than the CPU has, so flags alone do not decide:
`ONEDNN_MAX_CPU_ISA` (oneDNN: convolutions, linear layers) and `ATEN_CPU_CAPABILITY` (PyTorch's own kernels).
Evidence: `system/README.md`.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from pruning_core.errors import OptionError

_BF16_LIMITS = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX10")
"""How limits of oneDNN begin that leave it its bfloat16 instructions."""


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
    """Return which bfloat16 instructions PyTorch uses on this CPU: `amx`, `avx512_bf16` or `none`."""
    limit = onednn_limit()
    if not _aten_uses_avx512() or (limit and not limit.startswith(_BF16_LIMITS)):
        return "none"
    if _torch_says("_is_amx_tile_supported", "amx_bf16") and (not limit or "AMX" in limit):
        return "amx"
    if _torch_says("_is_avx512_bf16_supported", "avx512_bf16"):
        return "avx512_bf16"
    return "none"


def cpu_uses_avx512() -> bool:
    """Tell whether oneDNN and PyTorch compute with AVX-512 here, and are not told to use less."""
    limit = onednn_limit()
    has_it = _torch_says("_is_avx512_supported", "avx512f")
    return has_it and _aten_uses_avx512() and (not limit or limit.startswith(("AVX512", "AVX10")))


def onednn_limit() -> str:
    """Return the instruction set that oneDNN was told not to exceed, in capitals; empty without a limit.

    Source: oneDNN's developer guide, "CPU Dispatcher Control".
    """
    name = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    return "" if name.upper() in ("DEFAULT", "ALL") else name.upper()


def training_memory_format(device: str) -> torch.memory_format:
    """Return how images and weights lie in memory while a network is trained.

    `channels_last` saves a re-layout before each convolution. It is chosen where its gradients were checked
    and it is faster: on CUDA, and where oneDNN computes with AVX-512. With AVX2, oneDNN's weight gradient of
    a 1×1 convolution of stride 2 in channels_last writes beyond its memory: it crashes, hangs or is wrong.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, …
    """
    if device.partition(":")[0] == "cuda" or cpu_uses_avx512():
        return torch.channels_last
    return torch.contiguous_format


def isa_limits() -> str:
    """Return the limits on instruction sets that the environment sets, as one text; empty without any."""
    named = {"ONEDNN_MAX_CPU_ISA": onednn_limit(), "ATEN_CPU_CAPABILITY": _aten_limit()}
    return " ".join(f"{name}={limit}" for name, limit in named.items() if limit)


def native_conditions() -> dict[str, str | int]:
    """Return what it depends on whether native code of PyTorch fails: releases, limits, format, threads."""
    return {
        "torch": torch.__version__,
        "onednn_limit": onednn_limit(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "memory_format": str(training_memory_format("cpu")),
        "threads": torch.get_num_threads(),
    }


def set_torch_threads(threads: int) -> None:
    """Set PyTorch's CPU threads, which are one number for the whole process."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Have PyTorch work with so many CPU threads, and afterwards with as many as before."""
    before = torch.get_num_threads()
    set_torch_threads(threads)
    try:
        yield
    finally:
        set_torch_threads(before)


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
        raise OptionError(f"threads must be 1 or more, or 0 for all usable cores; got {asked}")
    return asked or usable_cores()


def max_threads(asked: Sequence[int]) -> int:
    """Return the largest number of CPU threads of several asked for (see `resolve_threads`).

    What is not timed, training above all, runs on these, however it is started.
    """
    return max(map(resolve_threads, asked))


def _aten_limit() -> str:
    limit = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    return "" if limit == torch.backends.cpu.get_cpu_capability().lower() == "avx512" else limit


def _aten_uses_avx512() -> bool:
    return torch.backends.cpu.get_cpu_capability().upper().startswith("AVX512")


def _torch_says(name: str, flag: str) -> bool:
    # Private functions: not every release has all of them.
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

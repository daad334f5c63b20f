"""Which machine a measurement was made on, as a flat dictionary with a fingerprint.

Versions are read from package metadata: nothing heavy is imported to name it.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from pruning_core.system.hardware import cpu_bf16, isa_limits, resolve_threads, usable_cores
from pruning_core.system.memory import total_memory_bytes

Value = str | int | float | list[str] | bool

VERSIONS = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "torch_pruning": ("torch-pruning",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
}
"""Field → the packages that may provide it, the first that is installed counts."""

FINGERPRINT_FIELDS = (
    "cpu_model",
    "cpu_arch",
    "cores",
    "threads",
    "cpu_bf16",
    "gpus",
    "gpu_driver",
    "python",
    *VERSIONS,
)
"""Hardware and versions: what must be alike for milliseconds to be compared. Memory size and kernel release
vary between machines of one kind without a bearing on latency; load varies by the minute."""


def describe_machine(threads: int | None = None) -> dict[str, Value]:
    """Describe this machine.

    Args:
        threads: CPU threads that measurements use, 0 for all usable cores; None for what PyTorch is set to.

    Returns:
        A dictionary that JSON can hold: a short name, hardware, versions (empty when a package is not
        installed), the load of the last minute, and a fingerprint over `FINGERPRINT_FIELDS`.
    """
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if _has_cuda() else []
    cpu_model = _cpu_model()
    cores = usable_cores()
    machine: dict[str, Value] = {
        "name": _short_name(cpu_model, cores, gpus),
        "cpu_model": cpu_model,
        "cpu_arch": platform.machine(),
        "cores": cores,
        "threads": torch.get_num_threads() if threads is None else resolve_threads(threads),
        "memory_bytes": total_memory_bytes(),
        "cpu_bf16": cpu_bf16(),
        "isa_limits": isa_limits(),
        "gpus": gpus,
        "gpu_driver": _gpu_driver() if gpus else "",
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **library_versions(),
        "load_1m": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    }
    machine["fingerprint"] = _fingerprint(machine)
    return machine


def library_versions() -> dict[str, str]:
    """Return field → version of each library that a measurement depends on; empty where it is not there."""
    return {field: _version(packages) for field, packages in VERSIONS.items()}


def _fingerprint(machine: dict[str, Value]) -> str:
    stable = {field: machine[field] for field in FINGERPRINT_FIELDS}
    if machine["isa_limits"]:  # else as it was before there was this field
        stable["isa_limits"] = machine["isa_limits"]
    return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()[:16]


def _has_cuda() -> bool:
    return torch.cuda.is_available()


def _cpu_model(file: Path = Path("/proc/cpuinfo")) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _short_name(cpu_model: str, cores: int, gpus: list[str]) -> str:
    """`Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz` → `Intel Xeon Gold 6330, 8 cores`, then the GPUs."""
    cpu = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|@.*$|\b\d+-Core Processor\b", " ", cpu_model)
    counted = [f"{gpus.count(gpu)}× {gpu}" if gpus.count(gpu) > 1 else gpu for gpu in dict.fromkeys(gpus)]
    return ", ".join([" ".join(cpu.split()), f"{cores} core{'' if cores == 1 else 's'}", *counted])


def _gpu_driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (output.stdout.strip().splitlines() or [""])[0].strip()


def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""

"""Backends by name, and the one way to make a model ready to run on one.

A new backend is one file with a `Backend` and one line in `BACKENDS`; the contract tests then cover it. What
each of them runs, and on which evidence its options were chosen: `README.md`.
"""

import re

import torch
from torch import nn

from pruning_core.backends.base import Backend, DeviceTime, Executable
from pruning_core.backends.bsr import Bsr
from pruning_core.backends.compile import Inductor
from pruning_core.backends.csr import Csr
from pruning_core.backends.cudagraph import CudaGraph
from pruning_core.backends.eager import Eager
from pruning_core.backends.onnxruntime import OnnxRuntime
from pruning_core.backends.openvino import OpenVino
from pruning_core.backends.sparse24 import Sparse24
from pruning_core.backends.tensorrt import TensorRt
from pruning_core.errors import (
    BackendError,
    OptionError,
    PruningBenchError,
    UnavailableError,
    UnknownNameError,
    first_line,
)
from pruning_core.models.inputs import Inputs
from pruning_core.system.hardware import resolve_threads

__all__ = [
    "BACKENDS",
    "Backend",
    "DeviceTime",
    "Executable",
    "check_available",
    "check_backend",
    "check_device",
    "load_executable",
]

BACKENDS: dict[str, Backend] = {
    "bsr": Bsr(),
    "compile": Inductor(),
    "csr": Csr(),
    "cudagraph": CudaGraph(),
    "eager": Eager(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
    "sparse24": Sparse24(),
    "tensorrt": TensorRt(),
}


def check_backend(name: str, precision: str) -> None:
    """Check that there is a backend of that name and that it has a precision, on whatever machine.

    Args:
        name: A name in `BACKENDS`.
        precision: For example `fp32`.

    Raises:
        UnknownNameError: If there is no such backend.
        OptionError: If it does not have that precision.
    """
    if name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    precisions = BACKENDS[name].precisions
    if precision not in precisions:
        raise OptionError(f"backend {name!r} has no precision {precision!r}; it has: {', '.join(precisions)}")


def check_masked(name: str, method: str, masks: bool) -> None:
    """Refuse a method that leaves no zeros on a backend that is made to skip them.

    Args:
        name: A name in `BACKENDS`.
        method: Of the pruning.
        masks: Whether it sets weights to zero.

    Raises:
        OptionError: If it cuts channels, and the backend would run what is left as `eager` does.
    """
    if BACKENDS[name].for_masks and not masks:
        raise OptionError(
            f"backend {name!r} skips weights that are masked, and {method} masks none: it would run as "
            "on eager. Take a method that masks, such as unstructured-l1, in a grid of its own"
        )


def check_device(device: str) -> None:
    """Check that this machine has a device.

    Args:
        device: `cpu`, `cuda`, `cuda:N`, `mps`, `xpu` or `xpu:N`.

    Raises:
        OptionError: If the text names no kind of device.
        UnavailableError: If this machine does not have it.
    """
    match = re.fullmatch(r"(cpu|mps|cuda|xpu)|(cuda|xpu):(\d{1,3})", device)
    if match is None:
        raise OptionError(f"no device {device!r}; allowed: cpu, cuda, cuda:N, mps, xpu, xpu:N")
    kind, number = match.group(1) or match.group(2), int(match.group(3) or 0)
    count = _count_devices(kind)
    if number >= count:
        have = f"this machine has {count} of that kind" if count else "PyTorch finds none of that kind"
        raise UnavailableError(
            f"device {device!r} is not on this machine: {have} (torch {torch.__version__}). "
            "Use --devices cpu, or install a PyTorch build and driver for it."
        )


def check_available(name: str, precision: str, device: str) -> None:
    """Check that a backend can run in a precision on a device of this machine.

    Raises:
        OptionError: If backend, precision or device are invalid.
        UnavailableError: If the backend or the device is not on this machine.
    """
    check_backend(name, precision)
    check_device(device)
    reason = BACKENDS[name].unavailable_reason(precision, device)
    if reason is not None:
        raise UnavailableError(f"backend {name}:{precision} cannot run on {device} here: {reason}")


def load_executable(
    name: str,
    model: nn.Module,
    example: Inputs,
    precision: str,
    device: str,
    threads: int,
    *,
    calibration: Inputs = None,
) -> Executable:
    """Make a copy of a model ready to run on a backend; the model itself stays as it is.

    Args:
        name: A name in `BACKENDS`.
        model: A network in float32 on the CPU.
        example: What it takes, of one example: a float32 image of the right size, (1, C, H, W), say.
        precision: One that the backend has.
        device: `cpu`, `cuda:0`, …
        threads: CPU threads to use; 0 for as many as this process may use.
        calibration: Inputs of training examples on the CPU, from which int8 takes the ranges of
            activations. Other precisions ignore them.

    Returns:
        The model, ready to predict and to be timed.

    Raises:
        OptionError: If backend, precision, device or threads are invalid, or int8 has no calibration images.
        UnavailableError: If the backend or the device is not on this machine.
        BackendError: If the backend cannot run this model.
    """
    check_available(name, precision, device)
    try:
        return BACKENDS[name].load(
            model,
            example,
            precision=precision,
            device=device,
            threads=resolve_threads(threads),
            calibration=calibration,
        )
    except PruningBenchError:
        raise
    except Exception as error:  # of a foreign runtime: a user gets one line and no traceback
        raise BackendError(
            f"backend {name}:{precision} cannot run this model on {device}: {first_line(error)}"
        ) from error


def _count_devices(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "xpu":
        return torch.xpu.device_count() if torch.xpu.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1

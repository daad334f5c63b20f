"""Where a network is trained, and in which precision: what `auto` resolves to, and how it gets there."""

import torch
from torch import nn

from pruning_core.config.spec import TrainSpec
from pruning_core.errors import UnavailableError
from pruning_core.models.memory_format import lay_out
from pruning_core.system.hardware import fast_bf16


def resolve_device(spec: TrainSpec) -> torch.device:
    """Return the device to train on: the one asked for, or CUDA if there is one.

    Raises:
        UnavailableError: If CUDA was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if spec.device == "cuda" and not available:
        raise UnavailableError('cannot train on cuda: torch finds no CUDA device here. Use device = "auto".')
    return torch.device("cuda" if available and spec.device != "cpu" else "cpu")


def resolve_precision(spec: TrainSpec, device: torch.device) -> str:
    """Return the precision to train in: the one asked for, or bf16 where the device is fast at it."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if fast_bf16(str(device)) else "fp32"


def move_to(network: nn.Module, device: torch.device, memory_format: torch.memory_format) -> None:
    """Move a network, in place, to a device and a memory format."""
    network.to(device)
    lay_out(network, memory_format)

"""What makes a training give the same weights every time: deterministic kernels (seeds: `tasks/seeds.py`)."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch


def deterministic(device: torch.device) -> AbstractContextManager[None]:
    """Let steps on a device give the same weights every time."""
    if device.type != "cuda":
        return nullcontext()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)

"""What makes a training give the same weights every time: seeds for each purpose, deterministic kernels."""

import hashlib
import os
from contextlib import AbstractContextManager, nullcontext

import torch


def derive_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a seed for one purpose in one epoch; unlike seed + epoch, no two of them coincide.

    Args:
        seed: Of the training.
        epoch: Counted from 0.
        purpose: A word that must never change: another one draws other numbers for the same seed.
    """
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def deterministic(device: torch.device) -> AbstractContextManager[None]:
    """Let steps on a device give the same weights every time."""
    if device.type != "cuda":
        return nullcontext()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)

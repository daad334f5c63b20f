"""Tensors of a user's that are not laid out in memory number by number, in words."""

import torch
from torch import Tensor


def unusual_kind(tensor: Tensor) -> str:
    """Return what a tensor is that cannot be read, cut or hashed row by row; empty where it can."""
    if tensor.device.type == "meta":
        return "a tensor without content (device meta)"
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.is_quantized:
        return "a quantized tensor"
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {str(tensor.layout).removeprefix('torch.').lstrip('_')}"
    return ""

"""Weights that tell channels apart: what a proof puts in place of those that an untrained network has."""

import torch
from torch import Tensor

MIN_SIZE = 1e-3
"""Weights of a smaller mean size do nothing, and are replaced for the proof."""


def varied(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Return a tensor of about the same size whose entries differ, and do something.

    Args:
        name: Its name within its module.
        tensor: Of a floating-point type, with a dimension at least.
        generator: Draws.
    """
    noise = torch.rand(tensor.shape, generator=generator)
    if name == "running_var":
        return tensor * (0.8 + 0.4 * noise)
    size = float(tensor.abs().mean())
    if tensor.dim() > 1 and size > MIN_SIZE:
        return tensor
    if size <= MIN_SIZE and name != "bias" and not name.startswith("running"):
        size = 0.3 if tensor.numel() == max(tensor.shape) else (tensor[0].numel() or 1) ** -0.5
        return size * (2 * noise - 1 if tensor.numel() != max(tensor.shape) else 0.5 + noise)
    return tensor * (0.8 + 0.4 * noise) + (0.1 * (noise - 0.5) if size <= MIN_SIZE else 0.0)

"""What a network costs on paper: multiply-adds and parameters, as torch-pruning counts them.

Published tables must come out, so its counter is ours, with its habits: it counts *modules* of the types it
knows, by exact type. Whatever a forward does by functions (`F.conv2d`, `x + y`, `x.mean()`), and every module
of a subclass, counts nothing. Masked weights are counted like others. What counts how much:
`pruning/README.md`.
"""

from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from pruning_core.errors import ModelError, first_line
from pruning_core.models.copying import copy_network
from pruning_core.pruning.loading import stored_tensors
from pruning_core.torchvision_compat import torch_pruning


@dataclass(frozen=True)
class Cost:
    """Multiply-adds for one image, and parameters."""

    macs: int
    params: int


def count_cost(model: nn.Module, example: Tensor) -> Cost:
    """Count what one image costs.

    Args:
        model: A network on any device; it stays as it is, its mode too.
        example: One float32 image, (1, C, H, W); with more images, the mean of one is counted.

    Raises:
        ModelError: If the network cannot run on that image.
    """
    # A copy of our own: torch-pruning copies too, but leaves its attributes behind when the forward fails.
    counted = copy_network(model).eval()
    device = next((parameter.device for parameter in counted.parameters()), torch.device("cpu"))
    try:
        macs, params = torch_pruning.utils.count_ops_and_params(counted, example.to(device))
    except Exception as error:  # torch-pruning's hooks take what they find for granted
        raise ModelError(
            f"cannot run the model on an image of shape {tuple(example.shape)}: {first_line(error)}"
        ) from error
    return Cost(macs=round(macs), params=int(params))


def serialised_size_bytes(network: nn.Module) -> int:
    """Return the size of the network's weights file, in bytes."""
    return len(safetensors.torch.save(stored_tensors(network)))

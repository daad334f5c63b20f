"""What a network costs on paper: multiply-adds and parameters, as torch-pruning counts them.

The tutorial's numbers must come out, so its counter is ours, with its habits: it counts *modules* of the
types it knows, by exact type. BatchNorm counts two operations an element, ReLU and pooling one, biases one
each; whatever a forward does by functions (`F.conv2d`, `x + y`, `x.mean()`), and every module of a subclass
(a parametrized convolution too), counts nothing. Masked weights are counted like others.
"""

import copy
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from pruning_core.errors import ModelError
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
    counted = copy.deepcopy(model).eval()
    device = next((parameter.device for parameter in counted.parameters()), torch.device("cpu"))
    try:
        macs, params = torch_pruning.utils.count_ops_and_params(counted, example.to(device))
    except RuntimeError as error:
        first_line = (str(error).strip().splitlines() or ["RuntimeError"])[0]
        raise ModelError(
            f"cannot run the model on an image of shape {tuple(example.shape)}: {first_line}"
        ) from error
    return Cost(macs=round(macs), params=int(params))


def serialised_size_bytes(network: nn.Module) -> int:
    """Return the size of the network's weights file, in bytes."""
    return len(safetensors.torch.save(weights_of(network)))


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network as they are stored, by name."""
    return {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}

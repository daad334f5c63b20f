"""What a network costs on paper: multiply-adds, parameters, bytes.

Multiply-adds are the products that run (`products.py`), and the small operations beside them as torch-pruning
counts those (`small_operations.py`): so published tables come out, and nothing that runs is missed. What
torch-pruning itself counts stands beside, since it misses or misreads some networks: `README.md`.
Masked weights count like others.
"""

import contextlib
import io
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from pruning_core.errors import ModelError, first_line
from pruning_core.models.copying import copy_network, free_unreachable
from pruning_core.models.inputs import Inputs, count_rows, explain, run, to_device
from pruning_core.pruning.cost.products import count_products
from pruning_core.pruning.cost.small_operations import count_small_operations
from pruning_core.pruning.loading import stored_tensors
from pruning_core.torchvision_compat import torch_pruning


@dataclass(frozen=True)
class Cost:
    """Multiply-adds for one image, and parameters."""

    macs: int
    params: int
    macs_products: int  # of these, in convolutions and matrix products
    macs_torch_pruning: int | None  # what its own counter says; None where that fails


def count_cost(model: nn.Module, example: Inputs) -> Cost:
    """Count what one image costs.

    Args:
        model: A network on any device; it stays as it is, its mode too.
        example: What the network takes, of one example; of more, the mean of one is counted.

    Raises:
        ModelError: If the network cannot run on it, or its operations cannot be counted.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    example = to_device(example, device)
    with torch.random.fork_rng(devices=[]):  # dropout that never ends must not change what comes after
        macs, products = _count_macs(copy_network(model).eval(), example)
        free_unreachable(model)
        by_torch_pruning = _torch_pruning_macs(copy_network(model).eval(), example)
        free_unreachable(model)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(macs, params, products, by_torch_pruning)


def _count_macs(counted: nn.Module, example: Inputs) -> tuple[int, int]:
    try:
        with torch.no_grad(), count_small_operations(counted) as small, count_products() as products:
            run(counted, example)
    except Exception as error:  # the forward is the user's: it may raise anything
        raise _why_not(counted, example, error) from error
    examples = count_rows(example)
    return round((products.macs + small.count) / examples), round(products.macs / examples)


def _why_not(counted: nn.Module, example: Inputs, error: Exception) -> ModelError:
    """Tell a network that does not run from one that runs, but not while its operations are counted."""
    inputs = (
        f"an image of shape {tuple(example.shape)}"
        if isinstance(example, Tensor)
        else f"inputs of {explain(example)}"
    )
    try:
        with torch.no_grad():
            run(counted, example)
    except Exception as alone:
        return ModelError(f"cannot count multiply-adds: the network fails on {inputs}: {first_line(alone)}")
    return ModelError(
        f"cannot count multiply-adds: the network runs on {inputs}, but not while its "
        f"operations are counted: {type(error).__name__}: {first_line(error)}"
    )


def _torch_pruning_macs(counted: nn.Module, example: Inputs) -> int | None:
    """Count as torch-pruning does; None where its counter fails on a network that runs."""
    # A copy of our own: torch-pruning copies too, but leaves its attributes behind when the forward fails.
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        try:
            macs: float = torch_pruning.utils.count_ops_and_params(counted, example)[0]
        except Exception:  # it asserts, and looks for attributes that a subclass may not have
            return None
    return round(macs)


def serialised_size_bytes(network: nn.Module) -> int:
    """Return the size of the network's weights file, in bytes."""
    return len(safetensors.torch.save(stored_tensors(network)))

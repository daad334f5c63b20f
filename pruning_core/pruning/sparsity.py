"""Weights that are zero: which they are, and which fraction of all."""

from collections.abc import Iterator

from torch import Tensor, nn

MaskableLayer = nn.Conv2d | nn.Linear
"""Layers whose weights can be masked, and count for sparsity."""


def zeros_of(network: nn.Module) -> dict[str, Tensor]:
    """Find the weights that are zero.

    Args:
        network: Any network.

    Returns:
        Parameter name ("layer1.0.conv1.weight") → bool of its shape, true where it is zero; only for
        weights of Conv2d and Linear that hold a zero at all.
    """
    zeros = {name: weight.detach() == 0 for name, weight in _weights(network)}
    return {name: zero for name, zero in zeros.items() if zero.any()}


def sparsity_of(network: nn.Module) -> float:
    """Return which fraction of the weights of Conv2d and Linear is exactly zero.

    The classifier, which is never pruned, counts too; biases and norms do not. 0 without such a layer.
    """
    weights = [weight for _, weight in _weights(network)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(sum(weight.numel() for weight in weights), 1)


def _weights(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Walk over the weights of Conv2d and Linear; one that two layers share comes once."""
    layers = dict(network.named_modules())
    for name, parameter in network.named_parameters():
        owner, _, own_name = name.rpartition(".")
        if own_name == "weight" and isinstance(layers[owner], MaskableLayer):
            yield name, parameter

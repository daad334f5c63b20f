"""Weights for a proof: each layer answers at size one, so that whatever is cut wrongly shows in the logits.

In a deep network that is not trained the signal of an image fades from layer to layer, and the logits are
those of the biases; a branch whose weights are small, or a unit that is never active, hides what is before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.models.inputs import Inputs, run

MIN_DEVIATION = 1e-9
"""Of a channel, relative to its size: one that varies less is constant, and is not scaled."""

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@torch.no_grad()
def calibrate(network: nn.Module, inputs: Inputs) -> None:
    """Scale and shift layers, in place: over these images each output channel has mean 0 and deviation 1.

    Batch norms take the statistics of these images. All of it is by channel, so that it can be carried over
    to a network of which channels were cut.

    Args:
        network: In evaluation mode; it runs once.
        inputs: Of several examples, of the network's type.
    """
    scaled: set[int] = set()

    def scale(layer: nn.Module, _inputs: Any, outputs: Any) -> Any:
        if not isinstance(outputs, Tensor) or id(layer.weight) in scaled:
            return None
        scaled.add(id(layer.weight))  # a weight that several calls share is scaled in the first
        return _scale(layer, outputs)

    layers = [layer for layer in network.modules() if isinstance(layer, _LAYERS)]
    handles = [layer.register_forward_hook(scale) for layer in layers]
    try:
        with _statistics_of_images(network):
            run(network, inputs)
    finally:
        for handle in handles:
            handle.remove()


def _scale(layer: nn.Module, outputs: Tensor) -> Tensor:
    """Scale and shift a layer by what it answered; return what it answers now."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    channel = -1 if isinstance(layer, nn.Linear) else 1
    rows = outputs.movedim(channel, 0)
    by_channel = rows.flatten(1)  # (channels, all else)
    # By sums: a proof may put something else in place of functions that compute a mean or a deviation.
    mean = by_channel.sum(1) / by_channel.shape[1]
    deviation = ((by_channel - mean[:, None]).square().sum(1) / by_channel.shape[1]).sqrt()
    varies = deviation > MIN_DEVIATION * by_channel.abs().amax(1)
    deviation = torch.where(varies, deviation, torch.ones_like(deviation))
    dimension = 1 if getattr(layer, "transposed", False) else 0
    channels = weight.shape[dimension]
    if channels != len(deviation):  # transposed and grouped: all blocks share the dimension
        deviation = torch.full_like(deviation, float(deviation.max()))
    shape = [1] * weight.dim()
    shape[dimension] = channels
    weight /= deviation[:channels].reshape(shape)
    if isinstance(bias, Tensor):
        bias.copy_((bias - mean) / deviation)
        by_channel = by_channel - mean[:, None]
    answered = (by_channel / deviation[:, None]).reshape(rows.shape).movedim(0, channel)
    return answered.contiguous()  # as it was: a forward may ask for a view of it


@contextmanager
def _statistics_of_images(network: nn.Module) -> Iterator[None]:
    """Let batch norms take the statistics of the images that run meanwhile."""
    kinds = nn.modules.batchnorm._BatchNorm
    norms = [m for m in network.modules() if isinstance(m, kinds) and m.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

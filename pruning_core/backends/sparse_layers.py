"""Layers that compute by a product of their own in place of PyTorch's: Linear, and convolutions of one pixel.

These are the layers that PyTorch has products of sparse matrices for; it has no sparse convolution.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning_core.models.inputs import Inputs, run

Product = Callable[[Tensor], Tensor]
"""Examples, or pixels (M, I) → what a layer makes of each (M, O), its bias included; strided as it comes."""


class ProductLinear(nn.Linear):
    """A linear layer that computes by `product`; its weight is there for whoever reads it."""

    product: Product
    contiguous: bool  # the network takes no outputs that are strided: what it views must lie in one piece

    def forward(self, input: Tensor) -> Tensor:
        """(…, I) → (…, O)."""
        outputs = self.product(input.reshape(-1, input.shape[-1]))  # (M, O)
        if self.contiguous:
            outputs = outputs.contiguous()
        return outputs.view(*input.shape[:-1], outputs.shape[-1])


class ProductConv2d(nn.Conv2d):
    """A convolution of one pixel that computes by `product`."""

    product: Product
    contiguous: bool

    def forward(self, input: Tensor) -> Tensor:
        """(N, I, H, W) → (N, O, H', W')."""
        rows, columns = (int(step) for step in self.stride)
        pixels = input[:, :, ::rows, ::columns].permute(0, 2, 3, 1)  # (N, H', W', I)
        outputs = self.product(pixels.reshape(-1, pixels.shape[-1]))  # (M, O)
        images = outputs.contiguous().view(*pixels.shape[:-1], outputs.shape[-1]).permute(0, 3, 1, 2)
        # What is contiguous in both formats says nothing of what the next layer is to get.
        last = input.is_contiguous(memory_format=torch.channels_last) and not input.is_contiguous()
        return images if last else images.contiguous()


PRODUCT_LAYERS: dict[type[nn.Module], type[ProductLinear] | type[ProductConv2d]] = {
    nn.Linear: ProductLinear,
    nn.Conv2d: ProductConv2d,
}
"""Kind of layer → what computes by a product; of subclasses nobody knows what else they do."""


def no_product_reason(layer: nn.Module) -> str | None:
    """Return why a layer is no product of its weight and its inputs; None if it is one."""
    if type(layer) not in PRODUCT_LAYERS:
        return f"is a {type(layer).__name__}, not a Linear or Conv2d"
    if isinstance(layer, nn.Conv2d):
        if layer.kernel_size != (1, 1) or layer.padding not in ((0, 0), "valid", "same"):
            return "is a convolution of more than one pixel, which PyTorch has no sparse kernel for"
        if layer.groups > 1:
            return "is a convolution in groups, which PyTorch has no sparse kernel for"
    return None


def called_layers(network: nn.Module, inputs: Inputs) -> set[nn.Module]:
    """Return the modules that a network calls: not those whose weights it reads for a function of its own.

    Args:
        network: In evaluation mode; it stays as it is.
        inputs: What it takes, on its device, in its type.
    """
    found: set[nn.Module] = set()

    def note(module: nn.Module, _: object) -> None:
        found.add(module)

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with torch.inference_mode():
            run(network, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def compute_by(layer: nn.Module, product: Product) -> None:
    """Let a layer compute by a product from now on, in place.

    Args:
        layer: One without a `no_product_reason`.
        product: What it computes by.
    """
    # As torch's own parametrizations do: whoever holds the layer goes on holding it.
    layer.__class__ = PRODUCT_LAYERS[type(layer)]
    assert isinstance(layer, ProductLinear | ProductConv2d)
    layer.product, layer.contiguous = product, False


def set_contiguous(network: nn.Module) -> None:
    """Let all layers that compute by a product give outputs that lie in one piece."""
    for layer in network.modules():
        if isinstance(layer, ProductLinear | ProductConv2d):
            layer.contiguous = True

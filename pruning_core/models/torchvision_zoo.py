"""`torchvision:NAME`: torchvision's networks for classification, as torchvision builds them."""

from typing import Any

from torch import nn

from pruning_core.errors import ModelError
from pruning_core.models.zoo import USUAL_IMAGE, Image
from pruning_core.torchvision_compat import models

_SIZE_ARGUMENTS = {
    "torchvision.models.vision_transformer": "image_size",
    "torchvision.models.maxvit": "input_size",
}
"""Module of a builder → its argument for the size of images; the networks of all others take any size."""

_INITIALISED = ("googlenet", "inception_v3")
"""They warn unless they are told whether to draw weights as torchvision has done so far."""


class TorchvisionZoo:
    """torchvision's networks for classification."""

    package = "torchvision"

    def names(self) -> list[str]:
        """Return all names; networks to detect, segment or follow, and quantized ones, are not among them."""
        return list(models.list_models(module=models))

    def has(self, name: str) -> bool:
        """Tell whether it is a name as torchvision writes it."""
        return name in self.names()

    def own_image(self, name: str) -> Image:
        """Return the shape of images: of several that weights are published for the smallest.

        It is also the size that a vision transformer is built for unless another one is asked for. Nothing is
        downloaded.
        """
        crops = [weights.transforms().crop_size for weights in models.get_model_weights(name)]
        sizes = [(crop[0], crop[-1]) for crop in crops]
        return (3, *min(sizes, default=USUAL_IMAGE[1:]))

    def build(self, name: str, classes: int, image: Image) -> nn.Module:
        """Build a network, auxiliary outputs included where it has any.

        Raises:
            ModelError: If images have not three channels, or are not square where they must be.
        """
        channels = image[0]
        if channels != 3:
            raise ModelError(
                f"it takes images of 3 channels, not {channels}, as networks of timm, the built-in ones and "
                "your own (module:function) may"
            )
        arguments = size_arguments(name, image)
        builder = models.get_model_builder(name)
        network = builder(weights=None, num_classes=classes, **arguments)
        assert isinstance(network, nn.Module)
        return network


def size_arguments(name: str, image: Image) -> dict[str, Any]:
    """Return what a builder of torchvision's is told besides the number of classes.

    Raises:
        ModelError: If images are not square where they must be.
    """
    _, height, width = image
    arguments: dict[str, Any] = {"init_weights": True} if name in _INITIALISED else {}
    size = _SIZE_ARGUMENTS.get(models.get_model_builder(name).__module__)
    if size == "image_size":
        if height != width:
            raise ModelError("it takes square images")
        arguments[size] = height
    elif size is not None:
        arguments[size] = (height, width)
    return arguments

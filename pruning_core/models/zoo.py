"""A zoo: a library's networks by name, each with an input size of its own, as in `torchvision:vit_b_16`.

The library's version enters a checkpoint's key, not a hash of what it builds: the random numbers that PyTorch
draws differ in their last bits between kinds of CPU, and a key must not.
"""

import importlib.metadata
from typing import Protocol

from torch import nn

from pruning_core.errors import ModelError, UnknownNameError
from pruning_core.models.inspect import check_output
from pruning_core.models.user import seeded
from pruning_core.user_code.functions import one_line

Image = tuple[int, int, int]
"""Channels, height and width of one image."""

USUAL_IMAGE: Image = (3, 224, 224)
"""What networks for ImageNet take, where nothing tells it of one."""


class Zoo(Protocol):
    """The networks of one library."""

    package: str
    """Of the library; it stands before the colon of a name."""

    def names(self) -> list[str]:
        """Return the names of all its networks, without the library's.

        Raises:
            OptionError: If the library is not installed.
        """
        ...

    def has(self, name: str) -> bool:
        """Tell whether it can build a network of that name."""
        ...

    def own_image(self, name: str) -> Image:
        """Return the shape of the images that a network was made for."""
        ...

    def build(self, name: str, classes: int, image: Image) -> nn.Module:
        """Build a network as the library does, untrained."""
        ...


def check_name(zoo: Zoo, name: str) -> None:
    """Refuse a name that the library does not have.

    Raises:
        OptionError: If the library is not installed.
        UnknownNameError: With the closest names it has.
    """
    if not zoo.has(name):
        known = [f"{zoo.package}:{each}" for each in zoo.names()]
        untagged, dot, _ = name.partition(".")
        meant = f"{zoo.package}:{untagged}" if dot and zoo.has(untagged) else ""
        raise UnknownNameError(
            "model", f"{zoo.package}:{name}", known, "of networks for classification", meant
        )


def library_of(zoo: Zoo) -> str:
    """Return name and version of a zoo's library, without what tells one build of a version from another."""
    return f"{zoo.package} {importlib.metadata.version(zoo.package).partition('+')[0]}"


def _option_for(image: Image) -> str:
    """Name the option that makes pictures of a folder this large."""
    _, height, width = image
    size = f"{height}" if height == width else f"{height}x{width}"
    return f" (--image-size {size}, of pictures in a folder)"


def build_zoo_model(zoo: Zoo, name: str, classes: int, image: Image, seed: int) -> nn.Module:
    """Build a network of a zoo under a seed, and run it.

    Args:
        zoo: The library.
        name: Of the network, without the library's.
        classes: Width of the last layer.
        image: What it is to take.
        seed: Of torch's generator, Python's and numpy's.

    Raises:
        OptionError: If the library is not installed.
        UnknownNameError: If the library has no such network.
        ModelError: If the library cannot build it for such images, or it returns no logits.
    """
    check_name(zoo, name)
    full_name = f"{zoo.package}:{name}"
    own = zoo.own_image(name)
    hint = "" if image == own else f"; its own input size is {'×'.join(map(str, own))}{_option_for(own)}"
    with seeded(seed):
        try:
            network = zoo.build(name, classes, image)
        except Exception as error:
            what = str(error) if isinstance(error, ModelError) else one_line(error).rstrip(".!")
            refused = f"images of {'×'.join(map(str, image))}: {what}{hint}"
            raise ModelError(f"model {full_name} cannot be built for {refused}") from error
        try:
            check_output(network, full_name, classes, image)
        except ModelError as error:
            raise ModelError(f"{str(error).rstrip('.!')}{hint}") from error
    return network

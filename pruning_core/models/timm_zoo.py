"""`timm:NAME`: the networks of timm, where it is installed; a name may end in a tag of published weights."""

import functools
import importlib
import warnings
from typing import Any

from torch import nn

from pruning_core.errors import OptionError
from pruning_core.files.extras import require_timm
from pruning_core.models.zoo import USUAL_IMAGE, Image
from pruning_core.torchvision_compat import models as _first  # noqa: F401  # timm imports torchvision
from pruning_core.user_code.functions import one_line


class TimmZoo:
    """The networks of timm."""

    package = "timm"

    def names(self) -> list[str]:
        """Return all names, without tags."""
        return list(_names(pretrained=False))

    def has(self, name: str) -> bool:
        """Tell whether it is a name, or name.tag, as timm writes them; never one to be downloaded."""
        return name in _names(pretrained=False) or name in _names(pretrained=True)

    def own_image(self, name: str) -> Image:
        """Return the shape of images that timm's configuration of a network names."""
        configuration = _import_timm().get_pretrained_cfg(name)
        if configuration is None:  # of a few networks in older versions
            return USUAL_IMAGE
        channels, height, width = configuration.input_size
        return channels, height, width

    def build(self, name: str, classes: int, image: Image) -> nn.Module:
        """Build a network; one that is made for a size of images is made for this one."""
        timm = _import_timm()
        channels, *size = image
        arguments: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what timm says of its own code
            if size == list(self.own_image(name)[1:]):
                return _as_module(timm.create_model(name, **arguments))
            try:
                return _as_module(timm.create_model(name, **arguments, img_size=tuple(size)))
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
            return _as_module(timm.create_model(name, **arguments))  # a network for any size


@functools.cache
def _names(pretrained: bool) -> dict[str, None]:
    """Return timm's names, in its order; with a tag for each of the published weights, or without."""
    return dict.fromkeys(_import_timm().list_models(pretrained=pretrained))


def _import_timm() -> Any:
    """Import timm, which takes its time.

    Raises:
        OptionError: If it is not installed, or cannot be imported.
    """
    require_timm()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("timm")
    except Exception as error:
        raise OptionError(
            f"timm is installed, but cannot be imported: {one_line(error)}. Install it again: "
            "pip install 'pruning-bench[timm]'"
        ) from error


def _as_module(network: Any) -> nn.Module:
    assert isinstance(network, nn.Module)
    return network

"""Weights that torchvision has published; their files lie in torch's cache."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pruning_core.errors import OptionError, UnknownNameError
from pruning_core.models.weights.published import Published, download_to_torch_cache, torch_cache
from pruning_core.torchvision_compat import models

_HALVES = (0.5, 0.5, 0.5)

_OWN_RANGE = ("GoogLeNet_Weights", "Inception_V3_Weights")
"""Made for images in [−1, 1]; torchvision's own networks turn other images into such with these weights."""

_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


def find_torchvision_weights(source: str, model: str) -> Published:
    """Look up weights by `torchvision:ENUM`, for a network of torchvision, or by `torchvision:KIND.ENUM`.

    Raises:
        OptionError: If there are no such weights, or the network is not of torchvision and no kind is named.
    """
    name = source.partition(":")[2]
    library, colon, network = model.partition(":")
    of_torchvision = bool(colon) and library == "torchvision"
    enumeration, dot, member = name.rpartition(".")
    if dot:
        known = {f"{kind.__name__}": kind for kind in map(models.get_model_weights, models.list_models())}
        if enumeration not in known:
            raise UnknownNameError("weights", f"torchvision:{enumeration}", known)
        choices = known[enumeration]
    elif of_torchvision:
        choices = models.get_model_weights(network)
    else:
        raise OptionError(
            f"weights torchvision:{name}: {model} is no network of torchvision; name one (--model "
            "torchvision:NAME), or for one of yours write torchvision:ResNet18_Weights.IMAGENET1K_V1"
        )
    members: dict[str, Any] = dict(choices.__members__)
    if member not in members:
        raise UnknownNameError(f"weights of torchvision's {choices.__name__}", member, members)
    chosen = members[member]
    kind = type(chosen).__name__
    transforms = chosen.transforms()
    own_range = kind in _OWN_RANGE
    if not own_range and not hasattr(transforms, "mean"):
        raise OptionError(f"weights torchvision:{kind}: they are of no network that classifies images")
    path = torch_cache(chosen.url)
    return Published(
        name=f"torchvision:{kind}.{chosen.name}",
        path=path,
        url=chosen.url,
        download=lambda: download_to_torch_cache(chosen.url, path),
        mean=_HALVES if own_range else tuple(transforms.mean),
        std=_HALVES if own_range else tuple(transforms.std),
        adapt=_adapt_densenet if kind.startswith("DenseNet") else dict,
    )


def _adapt_densenet(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename as torchvision does: its files are older than its networks."""
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}

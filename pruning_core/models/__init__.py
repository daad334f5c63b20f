"""Networks by name, untrained. A new one is a function that builds it, and a line in MODELS."""

from collections.abc import Callable

from torch import nn

from pruning_core.config.spec import ModelSpec
from pruning_core.models.inspect import check_output
from pruning_core.models.small_torchvision import (
    build_mobilenet_v2,
    build_resnet18,
    build_resnet50,
    build_vgg16_bn,
)
from pruning_core.models.user import build_user_model, describe_model, find_user_function, seeded

__all__ = ["MODELS", "build_model", "check_model_name", "model_spec"]

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "mobilenet_v2": build_mobilenet_v2,
    "resnet18": build_resnet18,
    "resnet50": build_resnet50,
    "vgg16_bn": build_vgg16_bn,
}
"""Name → function of (classes, channels) that builds the untrained network."""


def check_model_name(name: str) -> None:
    """Refuse a name that is no model, without building one.

    Raises:
        UnknownNameError: If no such name is in MODELS and it is no `module:function`.
        ModelError: If the module or function is not there.
    """
    if name not in MODELS:
        find_user_function(name, MODELS)


def model_spec(name: str, classes: int, image: tuple[int, int, int]) -> ModelSpec:
    """Return the spec of a model; of `module:function` it holds what that is made of and what it builds.

    Args:
        name: A name in MODELS, or `module:function`.
        classes: Width of the last layer.
        image: Channels, height and width of one image.

    Raises:
        UnknownNameError: If no such name is in MODELS and it is no `module:function`.
        ModelError: If the module or function is not there, or what it builds cannot be used.
    """
    if name in MODELS:
        return ModelSpec(name=name)
    function, module = find_user_function(name, MODELS)
    state = describe_model(
        name, function, module, classes, image
    )  # before the hash: building may import more
    return ModelSpec(name=name, source_sha256=module.source_sha256, state_sha256=state)


def build_model(name: str, classes: int, image: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """Build an untrained network, its weights decided by `seed` alone.

    Args:
        name: A name in MODELS, or `module:function` where `function(classes, channels)` returns a module.
        classes: Width of the last layer.
        image: Channels, height and width of one image.
        seed: Of torch's generator, Python's and numpy's, set just before the network is built.

    Returns:
        The network in training mode, on the CPU, float32.

    Raises:
        UnknownNameError: If there is no such model.
        ModelError: If a user's function fails, returns no module, or a module of the wrong shape, or the
            networks of two calls are not two, or not alike.
    """
    if name in MODELS:
        with seeded(seed):
            network = MODELS[name](classes, image[0])
            check_output(network, name, classes, image)
            return network
    function, module = find_user_function(name, MODELS)
    describe_model(name, function, module, classes, image)
    return build_user_model(name, function, module, classes, image, seed)

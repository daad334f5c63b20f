"""Networks by name, untrained, for small images.

Ours are torchvision's families with the stem changed for images of about 32×32 pixels: the first
convolution has stride 1 and early pooling is left out, as is usual for CIFAR.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.config.spec import ModelSpec
from pruning_core.errors import ModelError, UnknownNameError
from pruning_core.models.user import describe_twice, own_buffers, seeded
from pruning_core.torchvision_compat import models as torchvision_models
from pruning_core.user_code.functions import UserModule, find_function, one_line, raise_if_not_theirs


def _resnet(network: Any, channels: int) -> nn.Module:  # Any: torchvision has no types
    network.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return _as_module(network)


def build_resnet18(classes: int, channels: int) -> nn.Module:
    """Build ResNet-18 with a 3×3 stem of stride 1 and no max-pool: 11.17 M parameters at 10 classes."""
    return _resnet(torchvision_models.resnet18(weights=None, num_classes=classes), channels)


def build_resnet50(classes: int, channels: int) -> nn.Module:
    """Build ResNet-50 with a 3×3 stem of stride 1 and no max-pool."""
    return _resnet(torchvision_models.resnet50(weights=None, num_classes=classes), channels)


def build_vgg16_bn(classes: int, channels: int) -> nn.Module:
    """Build VGG-16 with batch norm; one linear layer on the pooled features instead of three."""
    network: Any = torchvision_models.vgg16_bn(weights=None, num_classes=classes)
    network.features[0] = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Linear(512, classes)
    return _as_module(network)


def build_mobilenet_v2(classes: int, channels: int) -> nn.Module:
    """Build MobileNetV2 with a total stride of 8 instead of 32."""
    # Expansion, width, blocks, stride of each stage; strides of the stem and second stage are 1 here.
    stages = [
        [1, 16, 1, 1],
        [6, 24, 2, 1],
        [6, 32, 3, 2],
        [6, 64, 4, 2],
        [6, 96, 3, 1],
        [6, 160, 3, 2],
        [6, 320, 1, 1],
    ]
    network: Any = torchvision_models.mobilenet_v2(
        weights=None, num_classes=classes, inverted_residual_setting=stages
    )
    network.features[0][0] = nn.Conv2d(channels, 32, kernel_size=3, stride=1, padding=1, bias=False)
    return _as_module(network)


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
        _user_function(name)


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
    function, module = _user_function(name)
    state = _describe(name, function, module, classes, image)  # before the hash: building may import more
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
    function, module = _user_function(name)
    _describe(name, function, module, classes, image)
    return _build_theirs(name, function, module, classes, image, seed)


def _describe(
    name: str,
    function: Callable[..., Any],
    module: UserModule,
    classes: int,
    image: tuple[int, int, int],
) -> str:
    """Return the hash of what a user's function builds from seed 0; found out once."""
    asked = (name, classes, image)
    if asked not in module.known:
        module.known[asked] = describe_twice(
            name, lambda: _build_theirs(name, function, module, classes, image, seed=0)
        )
    return module.known[asked]


def _build_theirs(
    name: str,
    function: Callable[..., Any],
    module: UserModule,
    classes: int,
    image: tuple[int, int, int],
    seed: int,
) -> nn.Module:
    if isinstance(function, nn.Module):
        raise ModelError(f"model {name} is a network; name a function that builds one for each call")
    with seeded(seed), module.running():
        try:
            network = function(classes, image[0])
        except BaseException as error:
            raise_if_not_theirs(error)
            raise ModelError(f"model {name} cannot be built: {module.explain(error)}") from error
        if not isinstance(network, nn.Module):
            raise ModelError(
                f"model {name}: the function must return a torch.nn.Module; got {type(network).__name__}"
            )
        check_output(network, name, classes, image)  # seeded still: a lazy layer draws its weights here
    own_buffers(network)
    return network


def check_output(network: nn.Module, name: str, classes: int, image: tuple[int, int, int]) -> None:
    """Run two blank images through the network, and one.

    Raises:
        ModelError: If it cannot take (N, *image) or does not return logits of shape (N, classes).
    """
    was_training = network.training
    network.eval()
    try:
        for n in (2, 1):
            _check_logits(network, name, classes, image, n)
    finally:
        network.train(was_training)


def _check_logits(network: nn.Module, name: str, classes: int, image: tuple[int, int, int], n: int) -> None:
    try:
        with torch.no_grad():  # what a lazy layer makes in inference mode could not be trained
            logits = network(torch.zeros(n, *image))
    except BaseException as error:
        raise_if_not_theirs(error)
        what = f"images of {_shape(image)}" + (", one alone" if n == 1 else "")
        raise ModelError(f"model {name} cannot take {what}: {one_line(error)}") from error
    if not isinstance(logits, Tensor) or logits.shape != (n, classes):
        got = _shape(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        images = "1 image" if n == 1 else f"{n} images"
        raise ModelError(f"model {name}: for {images} it must return logits of {n}×{classes}; got {got}")


def find_classifier(network: nn.Module, example: Tensor) -> str:
    """Name the layer that makes the logits: the last convolution or linear layer to run.

    Args:
        network: Any network.
        example: Images, (N, C, H, W).

    Raises:
        ModelError: If no convolution or linear layer runs.
    """
    last: list[nn.Module] = []

    def remember(layer: nn.Module, _inputs: object, _output: object) -> None:
        last[:] = [layer]

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    hooks = [m.register_forward_hook(remember) for m in network.modules() if isinstance(m, kinds)]
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(example)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    if not last:
        raise ModelError("no convolution or linear layer runs in this model: nothing can be pruned")
    names: dict[nn.Module, str] = {layer: name for name, layer in network.named_modules()}
    return names[last[0]]


def _as_module(network: Any) -> nn.Module:
    assert isinstance(network, nn.Module)
    return network


def _user_function(name: str) -> tuple[Callable[..., Any], UserModule]:
    module, colon, function = name.partition(":")
    if not (colon and module and function):
        raise UnknownNameError("model", name, MODELS, "or module:function of your own")
    return find_function(name, lambda text: ModelError(f"model {name}: {text}"))


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)

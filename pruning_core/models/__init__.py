"""Networks by name, untrained. A new one is a function that builds it, and a line in MODELS.

A library of networks is a class in a file of its own, and a line in ZOOS.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from pruning_core.config.spec import ModelSpec
from pruning_core.errors import ModelError, OptionError, UnknownNameError
from pruning_core.models.builders import find_builders
from pruning_core.models.cifar_networks import (
    build_resnet20,
    build_resnet32,
    build_resnet56,
    build_resnet110,
    build_wrn_16_2,
)
from pruning_core.models.inspect import check_output
from pruning_core.models.purpose import Logits, Purpose
from pruning_core.models.small_torchvision import (
    build_mobilenet_v2,
    build_resnet18,
    build_resnet50,
    build_vgg16_bn,
    build_vgg19_bn,
)
from pruning_core.models.timm_zoo import TimmZoo
from pruning_core.models.torchvision_zoo import TorchvisionZoo
from pruning_core.models.user import (
    OTHER_NAMES,
    build_user_model,
    describe_model,
    find_user_function,
    seeded,
)
from pruning_core.models.zoo import Image, Zoo, build_zoo_model, check_name, library_of
from pruning_core.user_code.functions import UserModule, find_module

__all__ = [
    "MODELS",
    "ZOOS",
    "build_model",
    "build_own_model",
    "check_model_name",
    "default_image",
    "expand_models",
    "find_module_of",
    "model_spec",
    "own_model_spec",
]

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "mobilenet_v2": build_mobilenet_v2,
    "resnet18": build_resnet18,
    "resnet20": build_resnet20,
    "resnet32": build_resnet32,
    "resnet50": build_resnet50,
    "resnet56": build_resnet56,
    "resnet110": build_resnet110,
    "vgg16_bn": build_vgg16_bn,
    "vgg19_bn": build_vgg19_bn,
    "wrn_16_2": build_wrn_16_2,
}
"""Name → function of (classes, channels) that builds the untrained network."""


ZOOS: dict[str, Zoo] = {zoo.package: zoo for zoo in (TimmZoo(), TorchvisionZoo())}
"""Library → its networks. A library's name goes before a user's own module of that name."""


def check_model_name(name: str) -> None:
    """Refuse a name that is no model, without building one.

    Raises:
        UnknownNameError: If neither MODELS nor a zoo has such a name and it is no `module:function`.
        OptionError: If the zoo's library is not installed.
        ModelError: If the module or function is not there.
    """
    if name in MODELS:
        return
    zoo, rest = _split(name)
    if zoo is not None:
        check_name(zoo, rest)
        return
    _find_own(name)


def expand_models(patterns: Sequence[str], say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Return the names that patterns such as `torchvision:*` match, each once; others as they are.

    Args:
        patterns: Names, and patterns with `*`, `?` or `[`. Those of a module of the user's match what builds
            networks in it (`builders.py`).
        say: Called with a line on what of such a module does not.

    Raises:
        OptionError: If a pattern matches nothing, or a library is not installed.
        ModelError: If a user's module is not there, or raises.
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        zoo, rest = _split(pattern)
        if not any(sign in rest for sign in "*?["):
            names[pattern] = None
            continue
        module, colon, own = rest.partition(":")
        if zoo is not None:
            prefix, known, where = f"{zoo.package}:", zoo.names(), f"{zoo.package}:*"
        elif colon:
            prefix, known, where, rest = f"{module}:", _own_names(module, own, say), f"{module}:*", own
        else:
            prefix, known, where = "", list(MODELS), "timm:* or torchvision:*"
        found = [f"{prefix}{each}" for each in known if fnmatchcase(each, rest)]
        if not found:
            raise OptionError(
                f"no model's name matches {pattern!r}; known: {', '.join(MODELS)}, and those of {where}"
            )
        names.update(dict.fromkeys(found))
    return list(names)


def _own_names(module: str, pattern: str, say: Callable[[str], None]) -> list[str]:
    """Return the names of what builds networks in a user's module; say what else matches a pattern."""
    refused = f"model {module}:{pattern}"
    builders, others = find_builders(find_module(module, lambda text: ModelError(f"{refused}: {text}")))
    left_out = [name for name in others if fnmatchcase(name, pattern)]
    if left_out:
        say(f"{module}: left out, not called as f(classes, channels): {', '.join(left_out)}")
    return builders


def default_image(name: str) -> Image | None:
    """Return the shape of images that a network was made for, None where nothing tells: a user's own.

    Raises:
        UnknownNameError: If a zoo has no such network.
        OptionError: If the zoo's library is not installed.
    """
    if name in MODELS:
        return (3, 32, 32)
    zoo, rest = _split(name)
    if zoo is None:
        return None
    check_name(zoo, rest)
    return zoo.own_image(rest)


def model_library(name: str) -> str:
    """Return name and version of the library that builds a zoo's network, nothing for others."""
    zoo, _ = _split(name)
    return "" if zoo is None else library_of(zoo)


def model_spec(name: str, classes: int, image: Image) -> ModelSpec:
    """Return the spec of a model: of `module:function` with what that is made of and what it builds.

    Args:
        name: A name in MODELS, `torchvision:NAME`, `timm:NAME`, or `module:function`.
        classes: Width of the last layer.
        image: Channels, height and width of one image.

    Raises:
        UnknownNameError: If neither MODELS nor a zoo has such a name and it is no `module:function`.
        OptionError: If the zoo's library is not installed.
        ModelError: If the module or function is not there, or what it builds cannot be used.
    """
    if name in MODELS:
        return ModelSpec(name=name)
    zoo, rest = _split(name)
    if zoo is not None:
        check_name(zoo, rest)
        return ModelSpec(name=name, library=model_library(name))
    return own_model_spec(name, Logits(classes, image))


def own_model_spec(name: str, purpose: Purpose) -> ModelSpec:
    """Return the spec of a user's `module:function` for a purpose (see `model_spec`)."""
    function, module = _find_own(name)
    # The state before the hash of the sources: building may import more.
    state = describe_model(name, function, module, purpose)
    return ModelSpec(name=name, source_sha256=module.source_sha256, state_sha256=state)


def build_model(name: str, classes: int, image: Image, seed: int = 0) -> nn.Module:
    """Build an untrained network, its weights decided by `seed` alone.

    Args:
        name: A name in MODELS, `torchvision:NAME`, `timm:NAME`, or `module:function` where
            `function(classes, channels)` returns a module.
        classes: Width of the last layer.
        image: Channels, height and width of one image.
        seed: Of torch's generator, Python's and numpy's, set just before the network is built.

    Returns:
        The network in training mode, on the CPU, float32.

    Raises:
        UnknownNameError: If there is no such model.
        OptionError: If the zoo's library is not installed.
        ModelError: If a user's function fails, returns no module, or a module of the wrong shape, or the
            networks of two calls are not two, or not alike; or a zoo's network takes no such images.
    """
    if name in MODELS:
        with seeded(seed):
            network = MODELS[name](classes, image[0])
            check_output(network, name, classes, image)
            return network
    zoo, rest = _split(name)
    if zoo is not None:
        return build_zoo_model(zoo, rest, classes, image, seed)
    return build_own_model(name, Logits(classes, image), seed)


def build_own_model(name: str, purpose: Purpose, seed: int = 0) -> nn.Module:
    """Build a network of a user's `module:function` for a purpose (see `build_model`)."""
    function, module = _find_own(name)
    describe_model(name, function, module, purpose)
    return build_user_model(name, function, module, purpose, seed)


def find_module_of(name: str) -> UserModule:
    """Return the user's module that `module:function` lies in.

    Raises:
        UnknownNameError: If it is no `module:function`.
        ModelError: If the module or function is not there.
    """
    return _find_own(name)[1]


def _split(name: str) -> tuple[Zoo | None, str]:
    """Split `library:name`; None and the whole name where the library is no zoo."""
    library, colon, rest = name.partition(":")
    return (ZOOS[library], rest) if colon and library in ZOOS else (None, name)


def _find_own(name: str) -> tuple[Callable[..., Any], UserModule]:
    """Find a user's function; the bare name of a network of torchvision's gets a hint."""
    if ZOOS["torchvision"].has(name):
        raise UnknownNameError("model", name, MODELS, OTHER_NAMES, suggestion=f"torchvision:{name}")
    return find_user_function(name, MODELS)

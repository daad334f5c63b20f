"""A user's network: `module:function` is found, called and checked, and what it builds is hashed for the key.

Hashed are its tensors and its layers before any training. A function that builds networks may read files, and
keep what it built. So it is called twice, under one seed: the two networks must be two, and alike.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pruning_core.errors import ModelError, UnknownNameError
from pruning_core.models.copying import copy_network
from pruning_core.models.overlap import find_overlap
from pruning_core.models.purpose import Purpose
from pruning_core.user_code.functions import UserModule, find_function, one_line, raise_if_not_theirs

OTHER_NAMES = "torchvision:NAME, timm:NAME, or module:function of your own"
"""What a model's name may be beside those in a table, for errors."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def find_user_function(name: str, known: Iterable[str]) -> tuple[Callable[..., Any], UserModule]:
    """Import a user's module, once, and return the function that is named, with its module.

    Args:
        name: `module:function`.
        known: Names that are no user's, for the error.

    Raises:
        UnknownNameError: If it is no `module:function`.
        ModelError: If the module or function is not there.
    """
    module, colon, function = name.partition(":")
    if not (colon and module and function):
        raise UnknownNameError("model", name, known, OTHER_NAMES)
    return find_function(name, lambda text: ModelError(f"model {name}: {text}"))


def describe_model(name: str, function: Callable[..., Any], module: UserModule, purpose: Purpose) -> str:
    """Return the hash of what a user's function builds from a fixed seed; found out once.

    Args:
        name: `module:function`.
        function: The function.
        module: Its module.
        purpose: What the network is for.

    Raises:
        ModelError: If it fails, its parameters lie in the same memory, or the networks of two calls are one,
            share a tensor, or differ.
    """
    asked = (name, purpose)
    if asked not in module.known:
        module.known[asked] = _describe_twice(
            name, lambda: build_user_model(name, function, module, purpose, seed=0)
        )
    return module.known[asked]


def build_user_model(
    name: str, function: Callable[..., Any], module: UserModule, purpose: Purpose, seed: int
) -> nn.Module:
    """Call a user's function under a seed, and check what it builds (see `describe_model`).

    Raises:
        ModelError: If it fails, returns no module, or a module that does not do what it must.
    """
    if isinstance(function, nn.Module):
        raise ModelError(f"model {name} is a network; name a function that builds one for each call")
    with seeded(seed), module.running():
        try:
            network = function(*purpose.arguments)
        except BaseException as error:
            raise_if_not_theirs(error)
            bare = isinstance(error, TypeError) and not purpose.arguments
            hint = "; for a task it is called without arguments" if bare else ""
            raise ModelError(f"model {name} cannot be built: {module.explain(error)}{hint}") from error
        if not isinstance(network, nn.Module):
            raise ModelError(
                f"model {name}: the function must return a torch.nn.Module; got {type(network).__name__}"
            )
        _check_kind(name, network)
        purpose.check(network, name)  # seeded still: a lazy layer draws its weights here
    _own_buffers(network)
    return network


def seed_all(seed: int) -> None:
    """Seed PyTorch's generators, Python's and numpy's legacy one."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed PyTorch's generator on the CPU, Python's and numpy's legacy one, for a while.

    PyTorch draws the same numbers on the CPU for a seed on every machine and in every version so far.

    Args:
        seed: Of all generators.
        device: If it is a GPU, its generator, too, goes on afterwards as if nothing had been drawn.
    """
    before, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        seed_all(seed)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(legacy)


def _own_buffers(network: nn.Module) -> None:
    """Give a network buffers of its own: users register constants of their module, which all would share."""
    own: dict[int, Tensor] = {}  # one that stands in two layers stays one
    for layer in network.modules():
        for name, buffer in layer._buffers.items():
            if buffer is not None and not is_lazy(buffer):
                layer._buffers[name] = own.setdefault(id(buffer), buffer.clone())


def _describe_twice(name: str, build: Callable[[], nn.Module]) -> str:
    """Build a network twice and return the hash of what it is.

    Args:
        name: The model's name, for errors.
        build: Builds it, from the same seed each time.

    Raises:
        ModelError: If the two are one, share a tensor, or differ.
    """
    first, second = build(), build()
    _check_two(name, first, second)
    try:
        copy_network(first)  # found out before anything is trained
    except ModelError as error:
        raise ModelError(f"model {name}: {error}") from error
    try:
        attributes, again = _attributes_of(first), _attributes_of(second)
        (layers, a), (other_layers, b) = ((_layers_of(n), _tensors_of(n)) for n in (first, second))
    except BaseException as error:  # of an `extra_repr` of the user's, say
        raise_if_not_theirs(error)
        raise ModelError(f"model {name} cannot be described: {one_line(error)}") from error
    lines = [*layers, *a]
    if lines != [*other_layers, *b]:
        differing = next((x.split(" ")[0] for x, y in zip(a, b, strict=False) if x != y), "its layers")
        raise ModelError(
            f"model {name}: two networks built from one seed differ ({differing}); draw by torch, `random` "
            "or `numpy.random`, which are seeded, or from a generator with a seed of your own"
        )
    # What changes from one call to the next, such as a time, does not describe the network.
    lines += [f"{key} = {value}" for key, value in sorted(attributes.items()) if again.get(key) == value]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_kind(name: str, network: nn.Module) -> None:
    """Refuse what PyTorch has turned into something else already: its layers could not be changed."""
    for layer in network.modules():
        scripted, compiled = isinstance(layer, torch.jit.ScriptModule), hasattr(layer, "_orig_mod")
        if scripted or compiled:
            what = "TorchScript" if scripted else "torch.compile"
            raise ModelError(
                f"model {name}: a network of {what} cannot be pruned; return the one that it was made of"
            )


def _check_two(name: str, first: nn.Module, second: nn.Module) -> None:
    if first is second:
        raise ModelError(
            f"model {name}: two calls give one object; build a new network in each call, "
            "since one is pruned beside the other"
        )
    for tensor_name, tensor in _named_tensors(first):
        if is_lazy(tensor):
            raise ModelError(
                f"model {name}: {tensor_name!r} belongs to a lazy layer that never runs; leave it out"
            )
    if overlap := find_overlap(first):
        a, b = sorted(overlap)
        raise ModelError(
            f"model {name}: {a!r} and {b!r} are two parameters in the same memory; make them one where they "
            "are to be tied, as by b.weight = a.weight, not by .data; else give each its own, by clone()"
        )
    held = {tensor.untyped_storage().data_ptr() for _, tensor in _named_tensors(first) if tensor.numel()}
    for tensor_name, tensor in _named_tensors(second):
        if tensor.numel() and tensor.untyped_storage().data_ptr() in held:
            raise ModelError(
                f"model {name}: the networks of two calls share {tensor_name!r}; "
                "give each its own, for example by clone()"
            )
        if tensor.is_inference():
            raise ModelError(
                f"model {name}: {tensor_name!r} was made under torch.inference_mode() and cannot be trained; "
                "build without it"
            )


def _named_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for named in (network.named_parameters, network.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            yield name, tensor if tensor.layout is torch.strided else tensor.to_dense()


def _tensors_of(network: nn.Module) -> list[str]:
    lines = []
    for name, tensor in _named_tensors(network):
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest = hashlib.sha256(content.tobytes()).hexdigest()
        lines.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad} {digest}")
    return lines


def _layers_of(network: nn.Module) -> list[str]:
    return [
        _ADDRESS.sub("", f"{name}: {type(layer).__qualname__}({layer.extra_repr()})")
        for name, layer in network.named_modules()
    ]


def _attributes_of(network: nn.Module) -> dict[str, str]:
    """Return numbers and functions that the user's own layers hold; PyTorch's layers print theirs."""
    found = {}
    for name, layer in network.named_modules():
        if type(layer).__module__.partition(".")[0] not in ("torch", "torchvision"):
            for key, value in vars(layer).items():
                if not key.startswith("_") and key != "training" and (text := _plain(value)) is not None:
                    found[f"{name}.{key}"] = text
    return found


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        parts = [_plain(item) for item in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    if callable(value) and not isinstance(value, nn.Module):
        return getattr(value, "__qualname__", None)
    return None

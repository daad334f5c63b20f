"""The tensors of a network by name: parameters and buffers, also those that have several names."""

from collections.abc import Mapping

from torch import Tensor, nn


def all_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, each under all its names."""
    parameters = dict(network.named_parameters(remove_duplicate=False))
    return {**parameters, **dict(network.named_buffers(remove_duplicate=False))}


def first_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return each tensor under its first name alone: one that is shared comes once."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def first_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return for each name of a tensor the first name that it has."""
    firsts: dict[int, str] = {}
    return {name: firsts.setdefault(id(tensor), name) for name, tensor in tensors.items()}


def persistent_names(network: nn.Module) -> set[str]:
    """Name what a checkpoint holds: all parameters, and the buffers that are persistent."""
    names = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for prefix, module in network.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        kept = module._buffers.keys() - module._non_persistent_buffers_set
        names |= {f"{dot}{name}" for name in kept}
    return names

"""Reparametrized weights made plain: what a forward computes from other tensors becomes the parameter itself.

Weight norm, spectral norm (old-style and new), torch's masks, and a user's own parametrizations. The network
computes the same; after that its weights can be cut.
"""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def reparametrized(network: nn.Module) -> tuple[str, ...]:
    """Name the layers that compute a weight of theirs."""
    return tuple(name for name, layer in network.named_modules() if _is_reparametrized(layer))


def make_plain(network: nn.Module) -> None:
    """Let layers hold the weights that they compute, in place; in `eval`, where no power iteration runs."""
    for layer in list(network.modules()):
        if not _is_reparametrized(layer):
            continue
        was_training = layer.training
        layer.eval()
        if parametrize.is_parametrized(layer):
            _give_own_class(layer)
            for name in list(_parametrized_tensors(layer)):
                parametrize.remove_parametrizations(layer, name, leave_parametrized=True)
        for hook in list(layer._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(layer, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(layer, hook.name)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(layer, hook._tensor_name)  # type: ignore[no-untyped-call]
        layer.train(was_training)


def _give_own_class(layer: nn.Module) -> None:
    """Let a layer not share its class with its copies: torch deletes a property of the class."""
    shared = type(layer)
    layer.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))


def _is_reparametrized(layer: nn.Module) -> bool:
    kinds = (WeightNorm, SpectralNorm, prune.BasePruningMethod)
    hooked = any(isinstance(hook, kinds) for hook in layer._forward_pre_hooks.values())
    return hooked or parametrize.is_parametrized(layer)


def _parametrized_tensors(layer: nn.Module) -> Iterator[str]:
    found = layer.parametrizations
    if isinstance(found, nn.ModuleDict):
        yield from found.keys()

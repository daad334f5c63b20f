"""Masking methods: weights become zero by PyTorch's own pruning, and no width changes.

Masked are the weights, not the biases, of each Conv2d and Linear that is not protected. At least one weight
(or channel) of each such layer stays, and zeros that are there stay zero: `ratio` counts them, so a chain
ends with as many zeros as one step. The network is a plain one afterwards.

What `torch.nn.utils.prune` does that one must know: `pruning/README.md`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from pruning_core.errors import PruningError
from pruning_core.pruning.base import Outcome, PruningStep
from pruning_core.pruning.sparsity import MaskableLayer
from pruning_core.pruning.targets import protected_layers, ratio_of_group, ratios_of_layers


class MaskingMethod(ABC):
    """A method that sets weights to zero, where they are held while the network is fine-tuned."""

    name: str
    scopes: tuple[str, ...]
    masks = True
    uses_data = False
    only_ratio: float | None = None
    """The one ratio that its pattern has; None: any."""

    def library_version(self) -> str:
        """Return the name and version of torch, which enter the key.

        The local part of the version ("+cpu") is left out: machines that share a store differ in it.
        """
        return f"torch {version('torch').partition('+')[0]}"

    @abstractmethod
    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Set weights of `network` to zero, in place; no width changes."""


class UnstructuredMethod(MaskingMethod):
    """Single weights become zero, in each layer or (global) in all together."""

    scopes = ("local", "global")
    torch_method: type[prune.BasePruningMethod]
    """What torch chooses the weights with."""

    @abstractmethod
    def score(self, weight: Tensor) -> Tensor:
        """Return scores of the weight's shape, at least 0; the highest of each layer stays."""

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Zero round(ratio × weights) of the weights, those that are zero already included.

        `round_to` has no effect. What is drawn by chance is decided by the fine-tuning's seed and the ratio.

        Raises:
            PruningError: If there is no layer to mask, or one whose weight is not a plain parameter.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step.sampling_seed)
            _mask_weights(network, step, self.torch_method, self.score)
        return Outcome()


def layers_to_mask(network: nn.Module, step: PruningStep) -> list[tuple[MaskableLayer, float]]:
    """Return the layers whose weights may be masked, in the order of the model, each with its ratio.

    A layer that shares its weight with one that stays, stays too; of those that share one, the first is
    returned.

    Args:
        network: Any network.
        step: Says which layers stay as they are, and which have a ratio of their own.

    Raises:
        PruningError: If there is none, one whose weight is not a plain parameter, or two of one weight have
            different ratios of their own.
        OptionError: If a pattern matches no layer, or two contradict each other.
    """
    protected = {*protected_layers(network, step.spec), *step.protected}
    own = ratios_of_layers(network, step.spec, step.protected, get_args(MaskableLayer))
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, MaskableLayer)}
    owners: dict[int, list[str]] = {}
    for name, layer in layers.items():
        if name not in protected and "weight" not in dict(layer.named_parameters(recurse=False)):
            raise PruningError(
                f"cannot mask layer {name!r}: its weight is computed (weight_norm, a parametrization), "
                "not a parameter; remove that from the model first, or protect the layer"
            )
        owners.setdefault(id(layer.weight), []).append(name)
    found = {
        names[0]: ratio_of_group(names, own, step.ratio)
        for names in owners.values()
        if protected.isdisjoint(names)
    }
    if not found:
        besides = "those that are protected" if step.spec.protect or step.spec.ratio_of else "its classifier"
        raise PruningError(f"no layer to mask in this model: it has no Conv2d or Linear besides {besides}")
    return [(layer, found[name]) for name, layer in layers.items() if name in found]


def _mask_weights(
    network: nn.Module,
    step: PruningStep,
    torch_method: type[prune.BasePruningMethod],
    score: Callable[[Tensor], Tensor],
) -> None:
    """Zero weights of `network`, in place, until its ratio of each layer, or `step.ratio` of all, is zero.

    Args:
        network: Dense, or masked before.
        step: What is asked for.
        torch_method: What torch chooses the weights with.
        score: Weight → scores of its shape, at least 0; the highest stays in each layer.
    """
    layers = layers_to_mask(network, step)
    together = [([layer for layer, _ in layers], step.ratio)]
    for group, ratio in together if step.spec.scope == "global" else [([layer], r) for layer, r in layers]:
        total = sum(layer.weight.numel() for layer in group)
        present = sum(int((layer.weight == 0).sum()) for layer in group)
        missing = max(round(ratio * total) - present, 0)
        kept_weights = [_protect_zeros_and_one(layer, score) for layer in group]
        free = sum(int(layer.get_buffer("weight_mask").sum()) for layer in group)
        # In a group of one layer this is what prune.l1_unstructured and random_unstructured do.
        parameters = [(layer, "weight") for layer in group]
        prune.global_unstructured(parameters, torch_method, amount=min(missing, free))
        for layer, kept_weight in zip(group, kept_weights, strict=True):
            layer.get_buffer("weight_mask").view(-1)[kept_weight] = 1
            make_permanent(layer)


def _protect_zeros_and_one(layer: MaskableLayer, score: Callable[[Tensor], Tensor]) -> int:
    """Take out of a layer's mask what must not be chosen: its zeros, and the one weight that stays.

    Returns:
        The index of that weight in the flattened weights; the caller puts it back into the mask.
    """
    weight = layer.weight.detach().contiguous()  # channels_last cannot be flattened
    layer.weight.data = weight
    free = weight != 0
    kept_weight = int(torch.where(free, score(weight), -1).argmax())
    free.view(-1)[kept_weight] = False
    prune.custom_from_mask(layer, "weight", free)  # type: ignore[no-untyped-call]
    return kept_weight


def make_permanent(layer: MaskableLayer) -> None:
    """Leave a plain layer: no hook, no mask, its parameters named and ordered as they were."""
    prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    for name, parameter in list(layer.named_parameters(recurse=False)):
        if name != "weight":  # torch has put the weight last
            delattr(layer, name)
            layer.register_parameter(name, parameter)

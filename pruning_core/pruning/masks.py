"""Mask weights with PyTorch's own pruning: they become zero, and no width changes.

Three methods: the weights of smallest magnitude, output channels of smallest norm, weights by chance. All
mask the weights, not the biases, of each Conv2d and Linear that is not protected. At least one weight (or
channel) of each such layer stays, and zeros that are there stay zero: `ratio` counts them, so a chain ends
with as many zeros as one step. The network is a plain one afterwards.

What torch 2.13's `torch.nn.utils.prune` does that one must know (pinned in tests/test_mask_methods.py):
- `random_unstructured` draws zeros again, and so prunes fewer than asked, unless a mask names them.
- `amount` counts within what the mask has left, and a whole layer may go.
- `remove` puts the weight behind the bias in the order of the layer's parameters.
- `global_unstructured` cannot flatten a weight in channels_last; masking one makes it contiguous.

Sources: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015
(magnitude); Li et al., "PruningStep Filters for Efficient ConvNets", ICLR 2017 (channels), here masked by L2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from pruning_core.errors import PruningError
from pruning_core.pruning.base import PruningStep

Layer = nn.Conv2d | nn.Linear


@dataclass
class Unstructured:
    """Single weights become zero, in each layer or (global) in all together."""

    name: str
    kind: type[prune.BasePruningMethod]  # what torch draws the weights with
    score: Callable[[Tensor], Tensor]  # weight → scores of its shape, at least 0; the highest stays
    masks: bool = True
    scopes: tuple[str, ...] = ("local", "global")

    def library(self) -> str:
        """Return the version of torch."""
        return torch_version()

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Zero round(ratio × weights) of the weights, those there are included; `round_to` has no say.

        What is drawn by chance is decided by the seed of the fine-tuning and the ratio.

        Raises:
            PruningError: If there is no layer to mask, or one whose weight is not a plain parameter.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step.sampling_seed)
            _mask_weights(network, step, self.kind, self.score)
        return {}


UNSTRUCTURED_L1 = Unstructured("unstructured-l1", prune.L1Unstructured, torch.abs)
UNSTRUCTURED_RANDOM = Unstructured("unstructured-random", prune.RandomUnstructured, torch.rand_like)
"""Which weights go is decided by chance: the control of the one above."""


class LnStructured:
    """The output channels of smallest L2 norm become zero, layer by layer."""

    name = "ln-structured"
    masks = True
    scopes: tuple[str, ...] = ("local",)

    def library(self) -> str:
        """Return the version of torch."""
        return torch_version()

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Zero round(ratio × channels) of each layer's output channels, those there are included.

        What is kept is rounded down to a multiple of `round_to`, as torch-pruning rounds, but not to
        nothing: `round_to` channels stay, or all where a layer has fewer.

        Raises:
            PruningError: If the scope is global, there is no layer to mask, or one whose weight is not a
                plain parameter.
        """
        if step.spec.scope == "global":
            raise PruningError("ln-structured has only local scope: torch ranks channels layer by layer")
        round_to = step.spec.round_to
        for layer in _layers_to_mask(network, step.protected):
            channels = layer.weight.shape[0]
            kept = channels - round(step.ratio * channels)
            kept = max(kept - kept % round_to, min(round_to, channels))
            # Zero channels have the smallest norms: they count without a mask that names them.
            gone = channels - kept
            prune.ln_structured(layer, "weight", amount=gone, n=2, dim=0)  # type: ignore[no-untyped-call]
            _make_permanent(layer)
        return {}


def torch_version() -> str:
    """Return the name and version that enter the key of every masked checkpoint.

    The local part of the version ("+cpu") is left out: machines that share a store differ in it.
    """
    return f"torch {version('torch').partition('+')[0]}"


def zeros_of(network: nn.Module) -> dict[str, Tensor]:
    """Find the weights that are zero.

    Args:
        network: Any network.

    Returns:
        Parameter name ("layer1.0.conv1.weight") → bool of its shape, true where it is zero; only for
        weights of Conv2d and Linear that hold a zero at all.
    """
    zeros = {name: weight.detach() == 0 for name, weight in _weights(network)}
    return {name: zero for name, zero in zeros.items() if zero.any()}


def sparsity_of(network: nn.Module) -> float:
    """Return which fraction of the weights of Conv2d and Linear is exactly zero.

    The classifier, which is never pruned, counts too; biases and norms do not. 0 without such a layer.
    """
    weights = [weight for _, weight in _weights(network)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(sum(weight.numel() for weight in weights), 1)


def _weights(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Walk over the weights of Conv2d and Linear; one that two layers share comes once."""
    layers = dict(network.named_modules())
    for name, parameter in network.named_parameters():
        owner, _, own_name = name.rpartition(".")
        if own_name == "weight" and isinstance(layers[owner], Layer):
            yield name, parameter


def _layers_to_mask(network: nn.Module, protected: Sequence[str]) -> list[Layer]:
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, Layer) and name not in protected
    }
    if not layers:
        raise PruningError(
            "no layer to mask in this model: it has no Conv2d or Linear besides its classifier"
        )
    for name, layer in layers.items():
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise PruningError(
                f"cannot mask layer {name!r}: its weight is computed (weight_norm, a parametrization), "
                "not a parameter; remove that from the model first"
            )
    return list(layers.values())


def _mask_weights(
    network: nn.Module,
    step: PruningStep,
    kind: type[prune.BasePruningMethod],
    score: Callable[[Tensor], Tensor],
) -> None:
    """Zero weights of `network`, in place, until `step.ratio` of each layer, or of all, is zero.

    Args:
        network: Dense, or masked before.
        step: What is asked for.
        kind: What torch draws the weights with.
        score: Weight → scores of its shape, at least 0; the highest stays in each layer.
    """
    layers = _layers_to_mask(network, step.protected)
    for group in [layers] if step.spec.scope == "global" else [[layer] for layer in layers]:
        total = sum(layer.weight.numel() for layer in group)
        present = sum(int((layer.weight == 0).sum()) for layer in group)
        missing = max(round(step.ratio * total) - present, 0)
        survivors = [_protect_zeros_and_one(layer, score) for layer in group]
        free = sum(int(layer.get_buffer("weight_mask").sum()) for layer in group)
        # In a group of one layer this is what prune.l1_unstructured and random_unstructured do.
        places = [(layer, "weight") for layer in group]
        prune.global_unstructured(places, kind, amount=min(missing, free))
        for layer, kept_weight in zip(group, survivors, strict=True):
            layer.get_buffer("weight_mask").view(-1)[kept_weight] = 1
            _make_permanent(layer)


def _protect_zeros_and_one(layer: Layer, score: Callable[[Tensor], Tensor]) -> int:
    """Take what must not be drawn out of a layer's mask: its zeros, and one weight that survives.

    Returns:
        The place of the kept_weight in the flat weight; the caller puts it back into the mask.
    """
    weight = layer.weight.detach().contiguous()  # channels_last cannot be flattened
    layer.weight.data = weight
    free = weight != 0
    kept_weight = int(torch.where(free, score(weight), -1).argmax())
    free.view(-1)[kept_weight] = False
    prune.custom_from_mask(layer, "weight", free)  # type: ignore[no-untyped-call]
    return kept_weight


def _make_permanent(layer: Layer) -> None:
    """Leave a plain layer: no hook, no mask, its parameters named and ordered as they were."""
    prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    for name, parameter in list(layer.named_parameters(recurse=False)):
        if name != "weight":  # torch has put the weight last
            delattr(layer, name)
            layer.register_parameter(name, parameter)

"""Prove a cut: with what reads the removed channels silenced, the network must answer as the one that is cut.

    1  silence what reads them: nothing that they carry matters any more
    2  else silence what writes and reads them: in attention scores nothing with weights reads them
    3  else leave out statistics over channels (a norm, a softmax), in both; if they then agree, those change

What reads is known of convolutions, linear layers, attention and recurrent layers; all else passes them on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.models.copying import copy_network
from pruning_core.pruning.channel_statistics import WithoutStatistics

TOLERANCE = 1e-4
"""Largest difference, relative to the largest answer, that is taken for rounding."""

MIN_SIZE = 1e-3
"""Weights of a smaller mean size do nothing, and are replaced for the proof."""

IMAGES = 2
INFINITE = float("inf")
SEED = 1


@dataclass(frozen=True)
class Proof:
    """What was found about a cut."""

    exact: bool  # but for rounding, and for the statistics that change
    statistics: tuple[str, ...]  # over channels, of fewer channels now
    difference: float  # largest, relative to the largest answer

    def __str__(self) -> str:
        """`exact`, `statistics of … change`, or how far off."""
        if not self.exact:
            far = f"by {self.difference:.2g} of its largest answer"
            return (
                f"the network answers otherwise, {far if self.difference < INFINITE else 'in another shape'}"
            )
        return f"statistics change: {', '.join(self.statistics)}" if self.statistics else "exact"


def prove_cut(
    before: nn.Module, after: nn.Module, kept: Mapping[str, tuple[Tensor, ...]], example: Tensor
) -> Proof:
    """Compare a network before and after a cut, on random images.

    Args:
        before: The network that was cut; it stays as it is.
        after: What is left.
        kept: Tensor name → per dimension the indices that `after` has of `before`.
        example: (1, C, H, W): the shape of an image.
    """
    images = torch.randn(IMAGES, *example.shape[1:], generator=torch.Generator().manual_seed(SEED))
    before, after = _told_apart(before, after, kept)
    silenced = [_silence(copy_network(before), kept, writers) for writers in (False, True)]
    difference = float("inf")
    for reference in silenced:
        difference, used = _difference(reference, after, images, frozenset())
        if difference <= TOLERANCE:
            return Proof(True, (), difference)
    for reference in silenced:
        least, _ = _difference(reference, after, images, used)
        if used and least <= TOLERANCE:
            needed = [
                s for s in sorted(used) if _difference(reference, after, images, used - {s})[0] > TOLERANCE
            ]
            return Proof(True, tuple(needed or sorted(used)), least)
    return Proof(False, (), difference)


def _told_apart(
    before: nn.Module, after: nn.Module, kept: Mapping[str, tuple[Tensor, ...]]
) -> tuple[nn.Module, nn.Module]:
    """Return copies whose channels differ from one another, and whose branches all matter.

    In a network that is not trained, norms are all ones, and branches are scaled by nearly nothing: channels
    could change places, or a branch be cut wrongly, and nothing would show.
    """
    before, after = copy_network(before).eval(), copy_network(after).eval()
    generator = torch.Generator().manual_seed(SEED)
    targets = _tensors_of(after)
    with torch.no_grad():
        for name, tensor in _tensors_of(before).items():
            if not tensor.is_floating_point() or not tensor.dim():
                continue
            tensor.copy_(_varied(name.rpartition(".")[2], tensor, generator))
            content = tensor
            for dimension, indices in enumerate(kept.get(name, ())):
                content = content.index_select(dimension, indices)
            targets[name].copy_(content)
    return before, after


def _varied(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.rand(tensor.shape, generator=generator)
    if name == "running_var":
        return tensor * (0.8 + 0.4 * noise)
    size = float(tensor.abs().mean())
    if tensor.dim() > 1 and size > MIN_SIZE:
        return tensor
    if size <= MIN_SIZE and name != "bias" and not name.startswith("running"):
        size = 0.3 if tensor.numel() == max(tensor.shape) else (tensor[0].numel() or 1) ** -0.5
        return size * (2 * noise - 1 if tensor.numel() != max(tensor.shape) else 0.5 + noise)
    return tensor * (0.8 + 0.4 * noise) + (0.1 * (noise - 0.5) if size <= MIN_SIZE else 0.0)


def _tensors_of(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _silence(network: nn.Module, kept: Mapping[str, tuple[Tensor, ...]], writers: bool) -> nn.Module:
    """Set to zero what reads the channels that are gone; with `writers` all that is gone."""
    modules = dict(network.named_modules(remove_duplicate=False))
    parameters = dict(network.named_parameters(remove_duplicate=False))
    tensors = {**parameters, **dict(network.named_buffers(remove_duplicate=False))}
    with torch.no_grad():
        for name, indices in kept.items():
            owner, _, local = name.rpartition(".")
            tensor = tensors[name]
            for dimension in range(tensor.dim()) if writers else _reading_dimensions(modules[owner], local):
                gone = torch.ones(tensor.shape[dimension], dtype=torch.bool)
                gone[indices[dimension]] = False
                neutral = 1.0 if local == "running_var" else 0.0
                tensor.index_fill_(dimension, gone.nonzero().flatten(), neutral)
    return network


def _reading_dimensions(module: nn.Module, name: str) -> tuple[int, ...]:
    """Return the dimensions of a tensor along which it takes channels in."""
    if isinstance(module, nn.modules.conv._ConvNd) and name == "weight":
        return (0,) if module.transposed else (1,)
    if isinstance(module, nn.Linear | nn.MultiheadAttention) and name.endswith("weight"):
        return (1,)
    if isinstance(module, nn.RNNBase) and name.startswith("weight_ih"):
        return (1,)
    return ()


def _difference(
    a: nn.Module, b: nn.Module, images: Tensor, without: frozenset[str]
) -> tuple[float, frozenset[str]]:
    """Return the largest difference of two networks' answers, relative; and which statistics they use."""
    mode = WithoutStatistics(without)
    answers = []
    for network in (a, b):
        torch.manual_seed(SEED)
        with torch.no_grad(), mode:
            answers.append(_first(network(images)))
    first, second = answers
    if first.shape != second.shape or not bool(second.isfinite().all()):
        return float("inf"), frozenset(mode.used)
    scale = max(float(first.abs().max()), 1e-3)
    return float((first - second).abs().max()) / scale, frozenset(mode.used)


def _first(answer: Any) -> Tensor:
    while not isinstance(answer, Tensor):
        answer = next(iter(answer.values() if isinstance(answer, Mapping) else answer))
    return answer

"""Prove a cut: with what reads the removed channels silenced, the network must answer as the one that is cut.

    1  silence what reads them: nothing that they carry matters any more
    2  else silence what writes and reads them: in attention scores nothing with weights reads them
    3  else leave out statistics over channels (a norm, a softmax), in both; if they then agree, those change

What reads is known of convolutions, linear layers, attention and recurrent layers; all else passes them on.
The weights are changed for it, alike in both, so that whatever is cut wrongly shows (`calibration.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, map_tensors, random_like, run, tensors_of
from pruning_core.pruning.base import Kept
from pruning_core.pruning.calibration import calibrate
from pruning_core.pruning.channel_statistics import SCALE, WithoutStatistics
from pruning_core.pruning.tensors import all_tensors
from pruning_core.pruning.varied_weights import varied

TOLERANCE = 1e-3
"""Largest difference, relative to how far answers to several images differ, that is taken for rounding."""

MIN_SPREAD = 1e-6
"""Answers to several images that differ by less, relative to the largest, tell nothing."""

BEYOND_ROUNDING = 30.0
"""A difference this many times as large as what float32 does to the network's own answers is no rounding."""

IMAGES = 4
INFINITE = float("inf")
SEED = 1


@dataclass(frozen=True)
class Proof:
    """What was found about a cut."""

    exact: bool  # but for rounding, and for the statistics that change
    statistics: tuple[str, ...]  # over channels, of fewer channels now
    difference: float  # largest, relative to how far answers to several images differ

    def __str__(self) -> str:
        """`exact`, `statistics of … change`, or how far off."""
        if not self.exact:
            far = f"by {self.difference:.2g} of what images make"
            return (
                f"the network answers otherwise, {far if self.difference < INFINITE else 'in another shape'}"
            )
        return f"statistics change: {', '.join(self.statistics)}" if self.statistics else "exact"


def prove_cut(
    before: nn.Module,
    after: nn.Module,
    kept: Kept,
    example: Inputs,
    factors: Mapping[str, Tensor] | None = None,
) -> Proof:
    """Compare a network before and after a cut, on random images.

    Args:
        before: The network that was cut; it stays as it is.
        after: What is left.
        kept: Tensor name → per dimension the indices that `after` has of `before`.
        example: What the network takes, of one example or several.
        factors: Tensor name → (rows,) what its rows were multiplied by after the cut.
    """
    left = _Left(kept, factors or {})
    before, after = _told_apart(before, after, left)
    comparison = _Comparison(before, after, left, example)
    proof = comparison.prove()
    if proof.exact or proof.difference == INFINITE or comparison.is_beyond_rounding(proof.difference):
        return proof
    try:  # rounding in float32 can add up to anything in a deep network
        return _Comparison(before.double(), after.double(), left, _in_double(example)).prove()
    except RuntimeError:  # it computes some of it in float32
        return proof


@dataclass(frozen=True)
class _Left:
    """What is left of the tensors of a network."""

    kept: Kept
    factors: Mapping[str, Tensor]

    def carry_over(self, reference: nn.Module, after: nn.Module) -> None:
        """Give what is left of a network the weights that the whole one has now."""
        targets = _tensors_of(after)
        with torch.no_grad():
            for name, tensor in _tensors_of(reference).items():
                content = tensor
                for dimension, indices in enumerate(self.kept.get(name, ())):
                    content = content.index_select(dimension, indices)
                if name in self.factors:
                    content = content * self.factors[name].reshape(-1, *(1,) * (content.dim() - 1))
                targets[name].copy_(content)


class _Comparison:
    """Compares a network with what is left of it."""

    def __init__(self, before: nn.Module, after: nn.Module, left: "_Left", example: Inputs) -> None:
        self._before, self._after, self._left = before, after, left
        self._reference = before  # as it was last compared
        # Each image is lighter or darker as a whole too: averages over an image are to differ.
        generator = torch.Generator().manual_seed(SEED)
        self._inputs = random_like(example, IMAGES, generator, light=True)

    def prove(self) -> Proof:
        """Compare in the three ways, until one finds no difference."""
        difference, used = INFINITE, frozenset[str]()
        for writers in (False, True):
            found, used = self._difference(writers, frozenset())
            difference = min(difference, found)
            if difference <= TOLERANCE:
                return Proof(True, (), difference)
        if self._left.factors:  # the queries were scaled so that this does not change
            used -= {SCALE}
        if not used:
            return Proof(False, (), difference)
        for writers in (False, True):
            least, _ = self._difference(writers, used)
            difference = min(difference, least)
            if least <= TOLERANCE:
                needed = [s for s in sorted(used) if self._difference(writers, used - {s})[0] > TOLERANCE]
                return Proof(True, tuple(needed or sorted(used)), least)
        return Proof(False, (), difference)

    def is_beyond_rounding(self, difference: float) -> bool:
        """Tell whether a difference is far larger than what rounding to float32 makes of the answers.

        That is measured on the network as it was last compared; where it cannot be, no difference is.
        """
        answers = []
        try:
            for network, inputs in (
                (self._reference, self._inputs),
                (copy_network(self._reference).double(), _in_double(self._inputs)),
            ):
                torch.manual_seed(SEED)
                with torch.no_grad():
                    answers.append([tensor.double() for tensor in tensors_of(run(network, inputs))])
        except RuntimeError:  # it computes some of it in float32
            return False
        return difference > BEYOND_ROUNDING * _max_difference(*answers)

    def _difference(self, writers: bool, without: frozenset[str]) -> tuple[float, frozenset[str]]:
        """Return how far the answers differ, relative to their spread; and what statistics they use."""
        reference = _silence(copy_network(self._before), self._left.kept, writers)
        self._reference, mode = reference, WithoutStatistics(without)
        with mode:
            calibrate(reference, self._inputs)
        self._left.carry_over(_silence(reference, self._left.kept, writers), self._after)
        answers = []
        for network in (reference, self._after):
            torch.manual_seed(SEED)
            with torch.no_grad(), mode:
                answers.append(tensors_of(run(network, self._inputs)))
        return _max_difference(*answers), frozenset(mode.used)


def _told_apart(before: nn.Module, after: nn.Module, left: _Left) -> tuple[nn.Module, nn.Module]:
    """Return copies whose channels differ from one another, and whose branches all matter.

    In a network that is not trained, norms are all ones, and branches are scaled by nearly nothing: channels
    could change places, or a branch be cut wrongly, and nothing would show.
    """
    before, after = (copy_network(network).eval().requires_grad_(False) for network in (before, after))
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in _tensors_of(before).items():
            if tensor.is_floating_point() and tensor.dim():
                tensor.copy_(varied(name.rpartition(".")[2], tensor, generator))
    left.carry_over(before, after)
    return before, after


def _tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return each tensor under its first name alone: one that is shared is filled once."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _silence(network: nn.Module, kept: Kept, writers: bool) -> nn.Module:
    """Set to zero what reads the channels that are gone; with `writers` all that is gone."""
    modules = dict(network.named_modules(remove_duplicate=False))
    tensors = all_tensors(network)
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


def _max_difference(before: list[Tensor], after: list[Tensor]) -> float:
    """Return how far answers differ, each relative to how far it differs between examples; the largest.

    One that is the same for all examples, such as a table of positions, must stay as it is.
    """
    differences, told = [], False
    for first, second in zip(before, after, strict=True):
        if first.shape != second.shape or not bool(second.isfinite().all()):
            return INFINITE
        if not first.is_floating_point():
            continue  # rounding turns a class number or a comparison over; the numbers behind it are outputs
        spread = float((first - first.mean(0)).abs().max()) if first.dim() else 0.0
        largest = float(first.abs().max())
        if spread <= MIN_SPREAD * largest:
            if not torch.allclose(first, second, rtol=TOLERANCE, atol=0.0):
                return INFINITE
            continue
        told = True
        differences.append(float((first - second).abs().max()) / spread)
        if not math.isfinite(differences[-1]):
            return INFINITE
    return max(differences) if told else INFINITE


def _in_double(inputs: Inputs) -> Inputs:
    return map_tensors(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, inputs)

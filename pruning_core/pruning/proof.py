"""Prove a cut: with what reads the removed channels silenced, the network must answer as the one that is cut.

    1  silence what reads them: nothing that they carry matters any more
    2  else silence what writes and reads them: in attention scores nothing with weights reads them
    3  else leave out statistics over channels (a norm, a softmax), in both; if they then agree, those change

What reads is known of some kinds of layers (`silence.py`); all else passes channels on.
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
from pruning_core.pruning.silence import Left, silence
from pruning_core.pruning.tensors import first_tensors
from pruning_core.pruning.varied_weights import varied

TOLERANCE = 1e-3
"""Largest difference, relative to how far answers to several images differ, that is taken for rounding."""

MIN_SPREAD = 1e-6
"""Answers to several images that differ by less, relative to the largest, tell nothing."""

BEYOND_ROUNDING = 30.0
"""A difference this many times as large as what float32 does to the network's own answers is no rounding."""

MAY_BE_ROUNDING = 0.5
"""A smaller difference is first looked at in this light; a larger one where no statistics may explain it."""

OUT_OF_MEMORY = "allocate memory"
"""What PyTorch says of a CPU on which memory runs out, in a RuntimeError."""

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
    left = Left(kept, factors or {})
    comparison = _Comparison(before, after, left, example)
    proof = comparison.prove()
    calm = not comparison.not_finite
    if not calm:  # it takes the root, say, of what is negative only where activations bend less
        comparison = _Comparison(before, after, left, example, calm=False)
        proof = comparison.prove()
    if not comparison.undecided:
        return proof
    del comparison  # a large network may not fit into memory as often
    try:  # rounding can add up to anything in a deep network
        return _Comparison(before, after, left, _in_double(example), calm=calm, double=True).prove()
    except RuntimeError as error:
        if OUT_OF_MEMORY in str(error):
            raise
        return proof  # it computes some of it in float32


class _Comparison:
    """Compares a network with what is left of it, on copies: of the network before there is one at a time."""

    def __init__(
        self,
        before: nn.Module,
        after: nn.Module,
        left: Left,
        example: Inputs,
        calm: bool = True,
        double: bool = False,
    ) -> None:
        self._before, self._left, self._calm, self._double = before, left, calm, double
        self._after = self._set_up(copy_network(after))
        self._reference: nn.Module | None = None  # as it was last compared
        self._mode = WithoutStatistics(())  # in which it was
        self.undecided = False  # whether a proof failed by no more than what rounding makes
        self.not_finite = False  # whether the network before answers with what is no number
        # Each image is lighter or darker as a whole too: averages over an image are to differ.
        generator = torch.Generator().manual_seed(SEED)
        self._inputs = random_like(example, IMAGES, generator, light=True)

    def prove(self) -> Proof:
        """Compare in the three ways, until one finds no difference, or one that rounding may have made."""
        difference, used = INFINITE, frozenset[str]()
        for writers in (False, True):
            found, used = self._difference(writers, frozenset())
            difference = min(difference, found)
            if difference <= TOLERANCE or self.not_finite:
                return Proof(not self.not_finite, (), difference)
            if (found < MAY_BE_ROUNDING or not used) and self._may_be_rounding(found):
                self.undecided = True
                return Proof(False, (), found)
        if self._left.factors:  # the queries were scaled so that this does not change
            used -= {SCALE}
        # One alone first: without any of them, a deep network makes much of what is rounded.
        ways = [(True, frozenset({name})) for name in sorted(used)] if len(used) > 1 else []
        for writers, without in (*ways, *((writers, used) for writers in (False, True) if used)):
            least, _ = self._difference(writers, without)
            difference = min(difference, least)
            if least <= TOLERANCE:
                if len(without) > 2:  # with one alone the answers differed
                    needed = (s for s in without if self._difference(writers, without - {s})[0] > TOLERANCE)
                    without = frozenset(needed) or without
                return Proof(True, tuple(sorted(without)), least)
        self.undecided = self._may_be_rounding(difference)
        return Proof(False, (), difference)

    def _may_be_rounding(self, difference: float) -> bool:
        """Tell whether a difference in float32 is not far larger than what rounding makes of the answers.

        That is measured on the network as it was last compared; where it cannot be, none is.
        """
        reference, self._reference = self._reference, None
        if self._double or difference == INFINITE or reference is None:
            return False
        answers = []
        try:
            for inputs in (self._inputs, _in_double(self._inputs)):
                torch.manual_seed(SEED)
                with torch.no_grad(), self._mode:
                    answers.append([tensor.double() for tensor in tensors_of(run(reference, inputs))])
                reference.double()
        except RuntimeError:  # it computes some of it in float32
            return False
        return difference <= BEYOND_ROUNDING * _max_difference(*answers)

    def _difference(self, writers: bool, without: frozenset[str]) -> tuple[float, frozenset[str]]:
        """Return how far the answers differ, relative to their spread; and what statistics they use."""
        self._reference = None  # room for the next one
        reference = self._reference = silence(self._told_apart(), self._left.kept, writers)
        mode = self._mode = WithoutStatistics(without, calm=self._calm)
        with mode:
            calibrate(reference, self._inputs)
        self._left.carry_over(silence(reference, self._left.kept, writers), self._after)
        answers = []
        for network in (reference, self._after):
            torch.manual_seed(SEED)
            with torch.no_grad(), mode:
                answers.append(tensors_of(run(network, self._inputs)))
        self.not_finite = not all(bool(tensor.isfinite().all()) for tensor in answers[0])
        return _max_difference(*answers), frozenset(mode.used)

    def _told_apart(self) -> nn.Module:
        """Return a copy of the network before whose channels all differ, and whose branches all matter.

        In a network that is not trained, norms are all ones, and branches are scaled by nearly nothing:
        channels could change places, or a branch be cut wrongly, and nothing would show.
        """
        network = copy_network(self._before)
        generator = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            for name, tensor in first_tensors(network).items():
                if tensor.is_floating_point() and tensor.dim():
                    tensor.copy_(varied(name.rpartition(".")[2], tensor, generator))
        return self._set_up(network)

    def _set_up(self, network: nn.Module) -> nn.Module:
        network = network.eval().requires_grad_(False)
        return network.double() if self._double else network


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

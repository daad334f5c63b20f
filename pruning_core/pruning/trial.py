"""One trial: cut a copy of a network, run it, and prove the cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pruning_core.errors import first_line
from pruning_core.models.copying import copy_network, free_unreachable, largeness
from pruning_core.models.inputs import Inputs, repeat_rows, run
from pruning_core.pruning.base import Kept
from pruning_core.pruning.cutting import Cut, EmptiedError, cut_channels, follow_numbers
from pruning_core.pruning.groups import ENDLESS
from pruning_core.pruning.proof import Proof, prove_cut
from pruning_core.pruning.score_scale import keep_score_scale
from pruning_core.system.time_limit import OutOfTimeError, time_limit

MAX_CUT_S = 60.0
"""A cut of all groups that takes more CPU time has failed, of a small network; a large one has longer."""


@dataclass(frozen=True)
class Trial:
    """A network that was cut, and what is known of it."""

    network: nn.Module
    kept: Kept
    proof: Proof


@dataclass(frozen=True)
class Failure:
    """Why a cut is not made."""

    reason: str
    emptied: bool = False  # a layer would lose every channel


def try_cuts(network: nn.Module, example: Inputs, cuts: Sequence[Cut]) -> Trial | Failure:
    """Cut a copy of a network, run it, and prove the cut.

    Args:
        network: All its parameters require gradients; it stays as it is.
        example: What the network takes, of one example.
        cuts: What goes.
    """
    free_unreachable(network)
    trial = copy_network(network)
    try:
        with time_limit(MAX_CUT_S * largeness(network)):
            kept = cut_channels(trial, network, example, cuts)
    except OutOfTimeError:
        return Failure(ENDLESS)
    except EmptiedError as error:
        return Failure(first_line(error), emptied=True)
    except Exception as error:
        return Failure(f"it cannot be cut: {type(error).__name__}: {first_line(error)}")
    free_unreachable(trial)
    trial.eval()
    failure = _run(trial, example)
    if failure:
        follow_numbers(trial, network)
        if _run(trial, example):
            return Failure(f"the network does not run without these channels: {failure}")
    failure = ""
    for cut, factors in filter(None, (keep_score_scale(trial, network), (trial, {}))):
        try:
            proof = prove_cut(network, cut, kept, example, factors)
        except Exception as error:
            failure = f"the cut cannot be proved: {type(error).__name__}: {first_line(error)}"
            continue
        if proof.exact:
            return Trial(cut, kept, proof)
        failure = str(proof)
    return Failure(failure)


def _run(network: nn.Module, example: Inputs) -> str:
    """Return why a network does not run on two examples; empty if it does."""
    try:
        with torch.no_grad():
            run(network, repeat_rows(example, 2))
    except Exception as error:
        return first_line(error)
    return ""

"""What a network answers to two fixed inputs: it must give the same answers whenever it is loaded.

A key holds what decides a checkpoint, as far as that is known beforehand. What it does not hold shows here:
a file that a network reads, a library that changed.
"""

import math

import torch
from torch import Tensor, nn

from pruning_core.errors import ModelError
from pruning_core.models.inputs import Inputs, random_like, run, tensors_of
from pruning_core.models.user import seeded

Answers = tuple[float | None, ...]

MAX_DIFFERENCE = 1e-3
"""Of the largest number. Other machines and versions round otherwise, by far less; other code does more."""

MAX_STORED = 65_536
"""Numbers that are kept of one output: of a larger one, every so many."""


def answer(network: nn.Module, example: Inputs) -> Answers:
    """Return what a network gives for two inputs drawn from a seed: on the CPU, in evaluation mode.

    Args:
        network: On the CPU; left in the mode it was in.
        example: What it takes.

    Returns:
        Numbers of six digits, of logits 2 × classes; None for what is no finite number.
    """
    return tuple(value for output in _answers(network, example) for value in output)


def _answers(network: nn.Module, example: Inputs) -> list[Answers]:
    """Return the numbers of each output."""
    fixed = random_like(example, 2, torch.Generator().manual_seed(0))
    was_training = network.training
    network.eval()
    try:
        with seeded(0), torch.inference_mode():  # seeded: a layer may be random in evaluation, too
            outputs = tensors_of(run(network, fixed))
    finally:
        network.train(was_training)
    return [
        tuple(float(f"{value:.6g}") if math.isfinite(value) else None for value in _some(output))
        for output in outputs
    ]


def _some(output: Tensor) -> list[float]:
    flat = output.float().flatten()
    return flat[:: max(1, -(-len(flat) // MAX_STORED))].tolist()


def check_answer(network: nn.Module, example: Inputs, stored: Answers | None, message: str) -> None:
    """Refuse a network whose answers have changed.

    Args:
        network: On the CPU.
        example: What it takes.
        stored: What `answer` gave then; None: nothing is known.
        message: The error's text, which goes on with "(logits differ by … of the largest)".

    Raises:
        ModelError: If its answers differ.
    """
    if stored is None:
        return
    outputs = _answers(network, example)
    count = sum(map(len, outputs))
    if count != len(stored):
        raise ModelError(f"{message} ({count} logits for {len(stored)})")
    start = 0
    for output in outputs:  # each by itself: one may be larger than another by far
        _compare(output, stored[start : start + len(output)], message)
        start += len(output)


def _compare(answers: Answers, stored: Answers, message: str) -> None:
    now, then = (
        torch.tensor([math.nan if value is None else value for value in values])
        for values in (answers, stored)
    )
    if torch.equal(now.isfinite(), then.isfinite()):
        finite = then.isfinite()
        max_logit = float(then[finite].abs().max()) if finite.any() else 0.0
        difference = float((now - then)[finite].abs().max()) if finite.any() else 0.0
        if difference <= MAX_DIFFERENCE * max(max_logit, 1e-6):
            return
        raise ModelError(
            f"{message} (logits differ by {difference / max(max_logit, 1e-6):.2g} of the largest)"
        )
    raise ModelError(f"{message} (others of its logits are no numbers)")

"""What a network answers to two fixed images: it must give the same answers whenever it is loaded.

A key holds what decides a checkpoint, as far as that is known beforehand. What it does not hold shows here:
a file that a network reads, a library that changed.
"""

import math

import torch
from torch import nn

from pruning_core.config.spec import DatasetSpec
from pruning_core.errors import ModelError
from pruning_core.models.user import seeded

Answers = tuple[float | None, ...]

MAX_DIFFERENCE = 1e-3
"""Of the largest logit. Other machines and versions round otherwise, by far less; other code does more."""


def answer(network: nn.Module, images: DatasetSpec) -> Answers:
    """Return the logits of two images drawn from a seed: float32, on the CPU, in evaluation mode.

    Args:
        network: On the CPU; left in the mode it was in.
        images: Their shape.

    Returns:
        2 × classes numbers of six digits; None for what is no finite number.
    """
    generator = torch.Generator().manual_seed(0)
    fixed_images = torch.randn(2, images.channels, images.height, images.width, generator=generator)
    was_training = network.training
    network.eval()
    try:
        with seeded(0), torch.inference_mode():  # seeded: a layer may be random in evaluation, too
            logits = network(fixed_images)
    finally:
        network.train(was_training)
    values = logits.float().flatten().tolist()
    return tuple(float(f"{value:.6g}") if math.isfinite(value) else None for value in values)


def check_answer(network: nn.Module, images: DatasetSpec, stored: Answers | None, message: str) -> None:
    """Refuse a network whose answers have changed.

    Args:
        network: On the CPU.
        images: Shape of its images.
        stored: What `answer` gave then; None: nothing is known.
        message: The error's text, which goes on with "(logits differ by … of the largest)".

    Raises:
        ModelError: If its answers differ.
    """
    if stored is None:
        return
    now, then = (
        torch.tensor([math.nan if value is None else value for value in answers])
        for answers in (answer(network, images), stored)
    )
    if now.shape != then.shape:
        raise ModelError(f"{message} ({len(now)} logits for {len(then)})")
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

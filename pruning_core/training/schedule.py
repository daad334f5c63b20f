"""The learning rate of each step, a function of the step alone: resuming needs no scheduler's state."""

import math

from pruning_core.config.spec import TrainSpec

_DIV_FACTOR = 25.0  # onecycle starts at this fraction of the peak …
_FINAL_DIV_FACTOR = 1e4  # … and ends at this fraction of the start: the defaults of torch's OneCycleLR


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    `onecycle` rises to the peak over the first `warmup` of all steps and falls to almost nothing, both as
    half a cosine. `cosine` begins at the peak and falls to nothing, as half a cosine.

    Args:
        spec: How to train.
        step: Counted from 0.
        steps: Of the whole training.

    Source: Smith and Topin, "Super-Convergence", 2018, in the form of torch.optim.lr_scheduler.OneCycleLR;
    Loshchilov and Hutter, "SGDR", ICLR 2017, in the form of CosineAnnealingLR there.
    """
    if spec.lr_schedule == "constant":
        return spec.learning_rate
    if spec.lr_schedule == "cosine":
        return _cosine(spec.learning_rate, 0.0, step / steps)
    start = spec.learning_rate / _DIV_FACTOR
    peak_step = spec.warmup * steps - 1
    if step <= peak_step:
        return _cosine(start, spec.learning_rate, step / peak_step if peak_step else 1.0)
    return _cosine(
        spec.learning_rate, start / _FINAL_DIV_FACTOR, (step - peak_step) / max(steps - 1 - peak_step, 1e-9)
    )


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))

"""Train and fine-tune: SGD in the manner that is usual for small images, resumable after an epoch.

All chance is drawn from generators seeded by (seed, epoch), so that a training that was interrupted and
resumed gives the same weights as one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.batches import Dataset
from pruning_core.errors import TrainingError
from pruning_core.training.step import Distillation, TrainStep, derive_seed, deterministic

_DIV_FACTOR = 25.0  # onecycle starts at peak / 25 …
_FINAL_DIV_FACTOR = 1e4  # … and ends at a ten-thousandth of that: the defaults of torch's OneCycleLR


@dataclass(frozen=True)
class EpochState:
    """All that a training needs to go on after an epoch."""

    epoch: int  # epochs finished
    tensors: dict[str, Tensor]  # "model.<name>" and "momentum.<name>"
    seconds: float  # spent in training so far, over all interruptions
    outside_s: float  # of these, outside of the training steps: batches, progress, saving states
    losses: tuple[float, ...]  # mean training loss of each finished epoch


@dataclass(frozen=True)
class TrainResult:
    """What a training resolved to and cost."""

    precision: str
    device: str
    threads: int
    memory_format: str  # `channels_last` or `contiguous`
    graphed: bool  # steps were launched as one CUDA graph
    seconds: float
    outside_s: float
    losses: tuple[float, ...]


def train(
    network: nn.Module,
    dataset: Dataset,
    spec: TrainSpec,
    *,
    distillation: Distillation | None = None,
    zeros: Mapping[str, Tensor] | None = None,
    resume: EpochState | None = None,
    on_epoch: Callable[[EpochState], None] | None = None,
    save_every_s: float = 0.0,
    on_step: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train `network` in place, from its present weights or from an earlier state.

    Args:
        network: On the CPU, float32; left there, in evaluation mode.
        dataset: Its training split is used, nothing else.
        spec: How to train.
        distillation: A dense model to learn from; left on the CPU, in evaluation mode.
        zeros: Name of a weight → bool of its shape, true where it has to stay zero.
        resume: State after an earlier epoch of the same training.
        on_epoch: Called with the state after an epoch, not the last.
        save_every_s: … and only if so many seconds have passed since the last call, or since the start: a
            state is as large as two checkpoints, and on a GPU takes as long to write as some epochs.
        on_step: Called with (steps done, steps in all) after each step.

    Raises:
        TrainingError: If the loss is no longer a number.
        UnavailableError: If the device asked for is not there.
    """
    runner = TrainStep(network, dataset, spec, distillation=distillation, zeros=zeros)
    device = runner.device
    done, losses, seconds, outside_s = 0, [], 0.0, 0.0
    if resume is not None:
        _restore(network, runner, resume)
        done, losses = resume.epoch, list(resume.losses)
        seconds, outside_s = resume.seconds, resume.outside_s
    steps_per_epoch = math.ceil(len(dataset.train.labels) / spec.batch_size)
    steps = steps_per_epoch * spec.epochs
    saved_at = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), deterministic(device):
        for epoch in range(done, spec.epochs):
            started, in_steps_s = time.perf_counter(), 0.0
            torch.manual_seed(derive_seed(spec.seed, epoch, "layers"))  # dropout draws from this one
            loss_sum = torch.zeros((), device=device)
            diverged_at = torch.full((), steps, device=device)  # the first step whose loss is no number
            for index, batch in enumerate(runner.batches_of_epoch(epoch)):
                step = epoch * steps_per_epoch + index
                begun = time.perf_counter()
                runner.set_learning_rate(learning_rate(spec, step, steps))
                loss = runner.step(*batch)
                loss_sum += loss * len(batch[0])  # no .item(): it would wait
                diverged_at = torch.where(loss.isfinite(), diverged_at, diverged_at.clamp(max=step))
                in_steps_s += time.perf_counter() - begun
                if on_step is not None:
                    on_step(step + 1, steps)
            begun = time.perf_counter()
            losses.append(loss_sum.item() / len(dataset.train.labels))
            in_steps_s += time.perf_counter() - begun  # a GPU is still computing steps until here
            _check_finite(network, losses, int(diverged_at), epoch, steps, spec)
            took_s = time.perf_counter() - started
            seconds, outside_s = seconds + took_s, outside_s + took_s - in_steps_s
            begun = time.perf_counter()
            if on_epoch is not None and epoch + 1 < spec.epochs and begun - saved_at >= save_every_s:
                tensors = _tensors_of(network, runner)
                on_epoch(EpochState(epoch + 1, tensors, seconds, outside_s, tuple(losses)))
                saved_at = time.perf_counter()
                saved_s = saved_at - begun
                seconds, outside_s = seconds + saved_s, outside_s + saved_s
    graphed = runner.graphed
    runner.release()
    return TrainResult(
        precision=runner.precision,
        device=str(device),
        threads=torch.get_num_threads(),
        memory_format=runner.memory_format_name,
        graphed=graphed,
        seconds=seconds,
        outside_s=outside_s,
        losses=tuple(losses),
    )


def _check_finite(
    network: nn.Module, losses: Sequence[float], diverged_at: int, epoch: int, steps: int, spec: TrainSpec
) -> None:
    """End a training whose loss or weights are no numbers any more.

    Args:
        network: Trained so far.
        losses: Mean loss of each finished epoch.
        diverged_at: The first step, counted from 0, whose loss is no number; `steps` if there is none.
        epoch: The one that was finished, counted from 0.
        steps: Of the whole training.
        spec: How it is trained.

    Raises:
        TrainingError: In one line: step, loss, what to try.
    """
    advice = f"lower learning_rate (now {spec.learning_rate:g})"
    if diverged_at < steps or not math.isfinite(losses[-1]):
        before = f"; its mean was {losses[-2]:.4g} in the epoch before" if len(losses) > 1 else ""
        raise TrainingError(
            f"the training loss is no longer a number after epoch {epoch + 1}; {advice}. "
            f"It began at step {min(diverged_at, steps - 1) + 1} of {steps}{before}. Nothing was stored"
        )
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise TrainingError(
                f"weights are no longer numbers after epoch {epoch + 1} ({name}; loss {losses[-1]:.4g}); "
                f"{advice}. Nothing was stored"
            )


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0.

    `onecycle` rises to the peak over the first `warmup` of all steps and falls to almost 0, both as half a
    cosine. A function of the step alone, so that a resumed training needs no scheduler's state.

    Source: Smith and Topin, "Super-Convergence", 2018, in the form of torch.optim.lr_scheduler.OneCycleLR.
    """
    if spec.lr_schedule == "constant":
        return spec.learning_rate
    start = spec.learning_rate / _DIV_FACTOR
    peak_step = spec.warmup * steps - 1
    if step <= peak_step:
        return _cosine(start, spec.learning_rate, step / peak_step if peak_step else 1.0)
    return _cosine(
        spec.learning_rate, start / _FINAL_DIV_FACTOR, (step - peak_step) / max(steps - 1 - peak_step, 1e-9)
    )


def _tensors_of(network: nn.Module, runner: TrainStep) -> dict[str, Tensor]:
    # Copies: the parameters go on changing while the caller holds the state.
    tensors = {f"model.{name}": _copy(tensor) for name, tensor in network.state_dict().items()}
    return tensors | {
        f"momentum.{name}": _copy(momentum) for name, momentum in runner.momentum_buffers().items()
    }


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _restore(network: nn.Module, runner: TrainStep, state: EpochState) -> None:
    network.load_state_dict(_under("model.", state))
    runner.set_momentum_buffers(_under("momentum.", state))


def _under(prefix: str, state: EpochState) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in state.tensors.items() if n.startswith(prefix)}


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))

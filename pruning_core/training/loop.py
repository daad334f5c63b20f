"""Train and fine-tune, epoch by epoch; a training can be resumed after each of them.

All chance is drawn from generators seeded by (seed, epoch), so that a training that was interrupted and
resumed gives the same weights as one that was not. The recipe and its evidence: `training/README.md`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.config.spec import TrainSpec
from pruning_core.errors import TrainingError
from pruning_core.models.finite import infinite_by_design, is_damaged
from pruning_core.models.user import seed_all, seeded
from pruning_core.pruning.penalty import Regularization
from pruning_core.tasks.base import Task
from pruning_core.tasks.seeds import derive_seed
from pruning_core.training.reproducibility import deterministic
from pruning_core.training.schedule import learning_rate
from pruning_core.training.step import Distillation, TrainStep

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps in all) after each step."""


@dataclass(frozen=True)
class EpochState:
    """All that a training needs to go on after an epoch."""

    epoch: int  # epochs finished
    tensors: dict[str, Tensor]  # "model.<name>", "momentum.<name>" and "penalty.<name>"
    seconds: float  # spent in training so far, over all interruptions
    overhead_s: float  # of these, beside the steps: making batches, progress, saving states
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
    overhead_s: float
    losses: tuple[float, ...]


def train(
    network: nn.Module,
    task: Task,
    spec: TrainSpec,
    *,
    distillation: Distillation | None = None,
    frozen_zeros: Mapping[str, Tensor] | None = None,
    regularization: Regularization | None = None,
    resume: EpochState | None = None,
    on_epoch: Callable[[EpochState], None] | None = None,
    save_every_s: float = 0.0,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Train `network` in place, from its present weights or from an earlier state.

    Args:
        network: On the CPU, float32; left there, in evaluation mode.
        task: Its training batches are used, nothing else.
        spec: How to train.
        distillation: A dense model to learn from; left on the CPU, in evaluation mode.
        frozen_zeros: Name of a weight → bool of its shape, true where it has to stay zero.
        regularization: A penalty on channels, beside the loss.
        resume: State after an earlier epoch of the same training.
        on_epoch: Called with the state after an epoch, but not after the last one.
        save_every_s: … and only if so many seconds have passed since the last call, or since the start: a
            state is as large as two checkpoints, and on a GPU takes as long to write as some epochs.
        on_step: Called after each step.

    Raises:
        TrainingError: If the loss or a weight is no longer a number.
        UnavailableError: If the device asked for is not there.
    """
    train_step = TrainStep(
        network,
        task,
        spec,
        distillation=distillation,
        frozen_zeros=frozen_zeros,
        regularization=regularization,
    )
    device = train_step.device
    done, losses, seconds, overhead_s = 0, [], 0.0, 0.0
    if resume is not None:
        _restore(network, train_step, resume)
        done, losses = resume.epoch, list(resume.losses)
        seconds, overhead_s = resume.seconds, resume.overhead_s
    steps = spec.epochs * (train_step.batches.steps() if spec.epochs else 0)
    saved_at = time.perf_counter()
    by_design = infinite_by_design(network)
    with seeded(spec.seed, device), deterministic(device):
        for epoch in range(done, spec.epochs):
            started = time.perf_counter()
            loss, diverged_at, in_steps_s = _train_epoch(train_step, epoch, steps, on_step)
            losses.append(loss)
            _check_loss(losses, diverged_at, epoch, steps, spec)
            _check_weights(network, by_design, losses, epoch, spec)
            if train_step.penalty is not None:
                train_step.penalty.end_epoch()
            took_s = time.perf_counter() - started
            seconds, overhead_s = seconds + took_s, overhead_s + took_s - in_steps_s
            begun = time.perf_counter()
            if on_epoch is not None and epoch + 1 < spec.epochs and begun - saved_at >= save_every_s:
                tensors = _tensors_of(network, train_step)
                on_epoch(EpochState(epoch + 1, tensors, seconds, overhead_s, tuple(losses)))
                saved_at = time.perf_counter()
                saving_s = saved_at - begun
                seconds, overhead_s = seconds + saving_s, overhead_s + saving_s
    graphed = train_step.graphed
    train_step.release()
    return TrainResult(
        precision=train_step.precision,
        device=str(device),
        threads=torch.get_num_threads(),
        memory_format=train_step.memory_format_name,
        graphed=graphed,
        seconds=seconds,
        overhead_s=overhead_s,
        losses=tuple(losses),
    )


def _train_epoch(
    train_step: TrainStep, epoch: int, steps: int, on_step: OnStep | None
) -> tuple[float, int, float]:
    """Take the steps of one epoch.

    Args:
        train_step: A network and its batches.
        epoch: Counted from 0.
        steps: Of the whole training.
        on_step: Called after each step.

    Returns:
        The mean loss; the first step, counted from 0, whose loss is no number, or `steps`; and the seconds
        that were spent in steps, without making batches.
    """
    spec = train_step.spec
    seed_all(derive_seed(spec.seed, epoch, "layers"))  # what dropout draws from, and layers of a user's
    loss_sum = torch.zeros((), device=train_step.device)
    diverged_at = torch.full((), steps, device=train_step.device)
    data_before_s, in_steps_s = train_step.data_s, 0.0
    in_epoch = steps // spec.epochs
    examples = 0
    for number, drawn in enumerate(train_step.sample_epoch(epoch)):
        step = epoch * in_epoch + min(number, in_epoch - 1)  # a user's epochs may differ in length
        begun = time.perf_counter()
        train_step.set_learning_rate(learning_rate(spec, step, steps))
        loss = train_step.step(drawn)
        size = train_step.batches.size(drawn)
        examples += size
        loss_sum += loss * size  # no .item(): it would wait
        diverged_at = torch.where(loss.isfinite(), diverged_at, diverged_at.clamp(max=step))
        in_steps_s += time.perf_counter() - begun
        if on_step is not None:
            on_step(step + 1, steps)
    begun = time.perf_counter()
    mean_loss = loss_sum.item() / max(examples, 1)
    in_steps_s += time.perf_counter() - begun  # a GPU is still computing steps until here
    return mean_loss, int(diverged_at), in_steps_s - (train_step.data_s - data_before_s)


def _check_loss(losses: Sequence[float], diverged_at: int, epoch: int, steps: int, spec: TrainSpec) -> None:
    """Stop a training whose loss is no longer a number.

    Args:
        losses: Mean loss of each finished epoch.
        diverged_at: The first step, counted from 0, whose loss is no number; `steps` if there is none.
        epoch: The one that was finished, counted from 0.
        steps: Of the whole training.
        spec: How it is trained.

    Raises:
        TrainingError: In one line: step, loss, what to try.
    """
    if diverged_at < steps or not math.isfinite(losses[-1]):
        before = f"; its mean was {losses[-2]:.4g} in the epoch before" if len(losses) > 1 else ""
        raise TrainingError(
            f"the training loss is no longer a number after epoch {epoch + 1}; {_advice(spec)}. "
            f"It began at step {min(diverged_at, steps - 1) + 1} of {steps}{before}. Nothing was stored"
        )


def _check_weights(
    network: nn.Module, by_design: Mapping[str, Tensor], losses: Sequence[float], epoch: int, spec: TrainSpec
) -> None:
    """Stop a training whose weights are no longer numbers (see `_check_loss`)."""
    for name, tensor in network.state_dict().items():
        if is_damaged(name, tensor, by_design):
            raise TrainingError(
                f"weights are no longer numbers after epoch {epoch + 1} ({name}; loss {losses[-1]:.4g}); "
                f"{_advice(spec)}. Nothing was stored"
            )


def _advice(spec: TrainSpec) -> str:
    return f"lower learning_rate (now {spec.learning_rate:g})"


def _tensors_of(network: nn.Module, train_step: TrainStep) -> dict[str, Tensor]:
    # Copies: the parameters go on changing while the caller holds the state.
    tensors = {f"model.{name}": _copy(tensor) for name, tensor in network.state_dict().items()}
    penalty = train_step.penalty.state() if train_step.penalty is not None else {}
    tensors |= {f"penalty.{name}": _copy(tensor) for name, tensor in penalty.items()}
    return tensors | {
        f"momentum.{name}": _copy(momentum) for name, momentum in train_step.momentum_buffers().items()
    }


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _restore(network: nn.Module, train_step: TrainStep, state: EpochState) -> None:
    content = network.state_dict()  # with the versions of its layers, by which some of torchvision's load
    content.update(_under("model.", state))
    network.load_state_dict(content)
    train_step.set_momentum_buffers(_under("momentum.", state))
    if train_step.penalty is not None:
        train_step.penalty.set_state(_under("penalty.", state))


def _under(prefix: str, state: EpochState) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in state.tensors.items() if n.startswith(prefix)}

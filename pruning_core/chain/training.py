"""A training of the chain: shown, noted on disk, resumed where it was interrupted."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruning_core.chain.networks import load_network
from pruning_core.chain.specs import train_spec_of, training_label, training_step_label
from pruning_core.config.spec import CheckpointSpec, PrunedSpec, TrainSpec
from pruning_core.pruning import find_method
from pruning_core.pruning.penalty import Regularization
from pruning_core.pruning.sparsity import zeros_of
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.store.resume import ResumeState
from pruning_core.tasks.base import Task
from pruning_core.training.device import resolve_device
from pruning_core.training.loop import TrainResult, train
from pruning_core.training.step import Distillation
from pruning_core.workspace import Workspace

SAVE_EVERY_S = 30.0
"""An interrupted training loses no more than this, and the epoch it was in."""


def fine_tune(
    network: nn.Module,
    spec: PrunedSpec,
    teacher: Checkpoint | None,
    task: Task,
    workspace: Workspace,
    resume: ResumeState,
) -> TrainResult:
    """Train a pruned network in place; what a masking method set to zero stays zero.

    Args:
        network: As pruned.
        spec: Of the checkpoint that is being made.
        teacher: The dense checkpoint to learn from, if the spec asks for distillation.
        task: The one of the spec.
        workspace: Where the work is done.
        resume: State of an interrupted fine-tuning, if there is one.
    """
    distillation = None
    if teacher is not None:
        weight, temperature = spec.fine_tune.distill_weight, spec.fine_tune.distill_temperature
        distillation = Distillation(load_network(teacher), weight, temperature)
    zeros = zeros_of(network) if find_method(spec.method.name).masks else None
    return train_resumably(
        network, spec, task, workspace, resume, distillation=distillation, frozen_zeros=zeros
    )


def untrained(how: TrainSpec) -> TrainResult:
    """Return what is said of a training without an epoch: nothing is moved, tried or seeded for it."""
    return TrainResult(
        precision="",
        device=str(resolve_device(how)),
        threads=torch.get_num_threads(),
        memory_format="",
        graphed=False,
        seconds=0.0,
        overhead_s=0.0,
        losses=(),
    )


def train_resumably(
    network: nn.Module,
    spec: CheckpointSpec,
    task: Task,
    workspace: Workspace,
    resume: ResumeState,
    *,
    distillation: Distillation | None = None,
    frozen_zeros: Mapping[str, Tensor] | None = None,
    regularization: Regularization | None = None,
) -> TrainResult:
    """Train the network of a checkpoint in place, from the last epoch that was saved."""
    how, label = train_spec_of(spec), training_label(spec)
    if not how.epochs:
        return untrained(how)
    state = resume.load()
    if state is not None:
        workspace.display.say(f"{label}: resumed after epoch {state.epoch}")
    resume.note_step(training_step_label(label, state.epoch if state else 0, how.epochs))
    with workspace.display.work(label, on_silence=resume.note_silence) as advance:

        def advance_and_note(done: int, total: int) -> None:
            resume.note_step(training_step_label(label, done * how.epochs // total, how.epochs))
            advance(done, total)

        return train(
            network,
            task,
            how,
            distillation=distillation,
            frozen_zeros=frozen_zeros,
            regularization=regularization,
            resume=state,
            on_epoch=resume.save,
            save_every_s=SAVE_EVERY_S,
            on_step=advance_and_note,
        )

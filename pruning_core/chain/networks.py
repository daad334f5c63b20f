"""The networks of a chain: built, loaded from a checkpoint, evaluated."""

from pathlib import Path

import torch
from torch import nn

from pruning_core.config.spec import CheckpointSpec, TrainSpec
from pruning_core.errors import ModelError, PruningBenchError
from pruning_core.measure.fixed_images import check_answer
from pruning_core.models.inputs import Inputs, Outputs, count_rows, lay_out_rows, run, to_device
from pruning_core.models.memory_format import choose_memory_format
from pruning_core.pruning.loading import load_pruned
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.tasks import signature_of
from pruning_core.tasks.base import Evaluation, Task
from pruning_core.training.device import resolve_device
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

_answered: set[tuple[Path, str]] = set()
"""Checkpoints whose networks gave the stored logits in this process, by folder and time."""


def build_network(spec: CheckpointSpec, seed: int = 0) -> nn.Module:
    """Build the dense network of a spec, untrained."""
    return signature_of(spec.dataset).build(spec.model.name, seed)


def example_of(spec: CheckpointSpec) -> Inputs:
    """Return what a network of a spec takes, of one example: an image of zeros, (1, C, H, W), say."""
    return signature_of(spec.dataset).one()


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint, without torch-pruning: model name, plan, weights."""
    spec = checkpoint.spec
    network = load_pruned(build_network(spec), checkpoint.plan, checkpoint.weights()).eval()
    if (checkpoint.path, checkpoint.metrics.created) not in _answered:
        check_answer(
            network,
            example_of(spec),
            checkpoint.metrics.answers,
            f"checkpoint {checkpoint.key}: {spec.model.name} does not answer as it did when it was stored; "
            "what it reads or the libraries it uses have changed since: "
            f"undo that, or delete {checkpoint.path} to make it again",
        )
        _answered.add((checkpoint.path, checkpoint.metrics.created))
    return network


def evaluate_network(network: nn.Module, task: Task, spec: TrainSpec) -> Evaluation:
    """Evaluate in float32, where the network was trained; it comes back to the CPU."""
    device = resolve_device(spec)
    memory_format = choose_memory_format(network, task.example(), torch.channels_last, device)
    network.eval().to(device)

    def predict(inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            try:
                return to_device(run(network, lay_out_rows(to_device(inputs, device), memory_format)), "cpu")
            except PruningBenchError:
                raise
            except BaseException as error:
                raise_if_not_theirs(error)
                examples = count_rows(inputs)
                raise ModelError(f"cannot evaluate on {examples} images: {one_line(error)}") from error

    evaluation = task.evaluate(predict)
    network.cpu()
    return evaluation

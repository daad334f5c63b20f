"""The networks of a chain: built, loaded from a checkpoint, evaluated."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pruning_core.chain.specs import image_of
from pruning_core.config.spec import CheckpointSpec, TrainSpec
from pruning_core.datasets.base import Dataset
from pruning_core.errors import ModelError
from pruning_core.measure.accuracy import Evaluation, evaluate
from pruning_core.measure.fixed_images import check_answer
from pruning_core.models import build_model
from pruning_core.models.memory_format import choose_memory_format
from pruning_core.pruning.loading import load_pruned
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.training.device import resolve_device
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

_answered: set[tuple[Path, str]] = set()
"""Checkpoints whose networks gave the stored logits in this process, by folder and time."""


def build_network(spec: CheckpointSpec, seed: int = 0) -> nn.Module:
    """Build the dense network of a spec, untrained."""
    return build_model(spec.model.name, spec.dataset.classes, image_of(spec.dataset), seed)


def example_of(spec: CheckpointSpec) -> Tensor:
    """Return an image of zeros, (1, C, H, W)."""
    return torch.zeros(1, *image_of(spec.dataset))


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint, without torch-pruning: model name, plan, weights."""
    spec = checkpoint.spec
    network = load_pruned(build_network(spec), checkpoint.plan, checkpoint.weights()).eval()
    if (checkpoint.path, checkpoint.metrics.created) not in _answered:
        check_answer(
            network,
            spec.dataset,
            checkpoint.metrics.answers,
            f"checkpoint {checkpoint.key}: {spec.model.name} does not answer as it did when it was stored; "
            "what it reads or the libraries it uses have changed since: "
            f"undo that, or delete {checkpoint.path} to make it again",
        )
        _answered.add((checkpoint.path, checkpoint.metrics.created))
    return network


def evaluate_network(network: nn.Module, dataset: Dataset, spec: TrainSpec) -> Evaluation:
    """Evaluate in float32, where the network was trained; it comes back to the CPU."""
    device = resolve_device(spec)
    memory_format = choose_memory_format(network, image_of(dataset.spec), torch.channels_last, device)
    network.eval().to(device)

    def predict(images: Tensor) -> Tensor:  # (N, C, H, W) -> (N, classes)
        with torch.inference_mode():
            try:
                logits: Tensor = network(images.to(device).contiguous(memory_format=memory_format))
                return logits.cpu()
            except BaseException as error:
                raise_if_not_theirs(error)
                raise ModelError(f"cannot evaluate on {len(images)} images: {one_line(error)}") from error

    evaluation = evaluate(predict, dataset.test, dataset.spec)
    network.cpu()
    return evaluation

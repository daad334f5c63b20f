"""What can be done with a pruned network, tried without any dataset: it is stored, trained, exported.

A proof says that the right channels went. That such a network can be used is another question: a checkpoint
may not load, a training takes paths that no evaluation takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import nn

from pruning_core.backends.base import missing_packages
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.backends.onnxruntime import OnnxRuntime
from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset
from pruning_core.errors import PruningBenchError, UnknownNameError, first_line
from pruning_core.measure.fixed_images import answer, check_answer
from pruning_core.models import build_model
from pruning_core.models.copying import copy_network
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.loading import load_pruned, stored_tensors
from pruning_core.pruning.preview import Check
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train

IMAGES = 2
"""In the one batch: a norm of flat features cannot do with one."""

OTHER_SEED = 1
"""Of the network that is loaded into: whatever is left of its own weights shows."""

LEARNING_RATE = 1e-3
"""Small: what is tried is that a step can be taken, not that it helps."""


@dataclass(frozen=True)
class Pruned:
    """A network to try; it stays as it is."""

    model: str
    network: nn.Module
    plan: ChannelPlan
    dataset: Dataset  # images of noise


def check_reload(pruned: Pruned) -> None:
    """Write plan and weights as a store does, load them into a new network, and compare the answers.

    Raises:
        PruningBenchError: If they do not load, or the network answers otherwise.
    """
    images = pruned.dataset.spec
    plan = ChannelPlan.model_validate_json(pruned.plan.model_dump_json())
    weights = safetensors.torch.load(safetensors.torch.save(stored_tensors(pruned.network)))
    image = (images.channels, images.height, images.width)
    dense = build_model(pruned.model, images.classes, image, OTHER_SEED)
    loaded = load_pruned(dense, plan, weights)
    example = torch.zeros(1, *image)
    answers = answer(copy_network(pruned.network), example)
    check_answer(loaded, example, answers, "it answers otherwise when it is loaded into a new network")


def check_training(pruned: Pruned) -> None:
    """Take one step of training, forward and backward, on a copy.

    Raises:
        PruningBenchError: If it cannot, or gives numbers that are not finite.
    """
    spec = TrainSpec(
        epochs=1,
        batch_size=IMAGES,
        learning_rate=LEARNING_RATE,
        lr_schedule="constant",
        augment=False,
        precision="fp32",
        device="cpu",
    )
    train(copy_network(pruned.network), Classification(pruned.dataset), spec)


def check_onnx(pruned: Pruned) -> None:
    """Export to ONNX; where ONNX Runtime is installed it must answer as the network.

    Raises:
        PruningBenchError: If it cannot be exported, or answers otherwise, or nobody could compare.
    """
    if reason := missing_packages("onnx"):
        raise PruningBenchError(reason)
    example = torch.zeros(1, *pruned.dataset.train.images.shape[1:])
    if reason := missing_packages("onnxruntime"):
        export_onnx(pruned.network, example)
        raise PruningBenchError(f"exported, but its answers were not compared; {reason}")
    threads = torch.get_num_threads()
    OnnxRuntime().load(pruned.network, example, precision="fp32", device="cpu", threads=threads)


CHECKS: dict[str, Callable[[Pruned], None]] = {
    "reload": check_reload,
    "train": check_training,
    "onnx": check_onnx,
}
"""Name → what is tried."""


def parse_checks(text: str) -> tuple[str, ...]:
    """Return the names in a list such as `reload,train`, in the order of CHECKS.

    Raises:
        UnknownNameError: If there is no such check.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CHECKS:
            raise UnknownNameError("check", name, CHECKS)
    return tuple(name for name in CHECKS if name in names)


def make_check(names: Sequence[str], model: str, classes: int, image: tuple[int, int, int]) -> Check:
    """Return what runs some checks on the pruned networks of one model.

    Args:
        names: Of CHECKS.
        model: As `build_model` takes it.
        classes: Width of the last layer.
        image: Channels, height, width.
    """
    dataset = _noise(classes, image)

    def check(network: nn.Module, plan: ChannelPlan) -> dict[str, bool | str]:
        pruned = Pruned(model, network, plan, dataset)
        return {name: _found(CHECKS[name], pruned) for name in names}

    return check


def _found(check: Callable[[Pruned], None], pruned: Pruned) -> bool | str:
    """Return true where a check passes, else in one line what it found."""
    try:
        check(pruned)
    except PruningBenchError as error:
        return " ".join(str(error).split())
    except MemoryError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return True


def _noise(classes: int, image: tuple[int, int, int]) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, *image), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(IMAGES) % classes)
    names = [str(number) for number in range(classes)]
    halves = (0.5,) * image[0]
    augment = AugmentSpec(flip=False, crop_padding=0)
    return make_dataset("noise", names, split, split, mean=halves, std=halves, augment=augment)

"""What is to be explained: a checkpoint that `export` finds too, or a shape that nobody trained."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pruning_core.chain.networks import build_network, example_of, load_network
from pruning_core.config.spec import MethodSpec
from pruning_core.config.stages import stage_words
from pruning_core.errors import OptionError, PruningError
from pruning_core.export.subject import Subject, find_subject
from pruning_core.models import build_model, default_image
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.pruning import find_method
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.step import prune
from pruning_core.shapes.timing import Setting
from pruning_core.system.hardware import usable_cores

CLASSES = 10
"""Outputs of a network that nobody trained."""


@dataclass(frozen=True)
class Explained:
    """A pruned network, and the dense one that it is compared with."""

    name: str
    method: MethodSpec
    ratio: float
    dense: nn.Module
    network: nn.Module
    plan: ChannelPlan
    example: Inputs
    key: str = ""


def stored_subject(what: str, cell: str | None, ratio: float | None, root: Path) -> tuple[Explained, Subject]:
    """Load what a user names as `export` takes it; and return what its cell says.

    Raises:
        OptionError: If it is no checkpoint, or a dense one: that has nothing to explain.
        StoreError: If it is not in the store, or damaged.
    """
    subject = find_subject(what, cell, ratio, root)
    checkpoint = subject.checkpoint
    spec = checkpoint.spec
    if spec.stage != "pruned":
        raise OptionError(
            f"{subject.name} is {stage_words(spec)}: nothing was pruned, so there is no speed-up to explain; "
            "name a pruned cell"
        )
    masked = find_method(spec.method.name).masks
    if masked:
        raise OptionError(_masked(spec.method.name))
    explained = Explained(
        subject.name,
        spec.method,
        spec.ratio,
        build_network(spec).eval(),
        load_network(checkpoint),
        checkpoint.plan,
        example_of(spec),
        checkpoint.key,
    )
    return explained, subject


def untrained_subject(
    model: str, method: MethodSpec, ratio: float, image: tuple[int, int, int] | None
) -> Explained:
    """Build a network and prune it, without weights of anybody's training.

    Raises:
        OptionError: If the method masks.
        PruningError: If nothing can be pruned.
    """
    if find_method(method.name).masks:
        raise OptionError(_masked(method.name))
    shape = image or default_image(model) or (3, 32, 32)
    example = torch.zeros(1, *shape)
    dense = build_model(model, CLASSES, shape).eval()
    network, plan = pruned_copy(dense, lambda work: prune(work, dense, method, ratio, example, seed=0))
    name = f"{model}-{method.name}-{ratio:g}, untrained"
    return Explained(name, method, ratio, dense, network, plan, example)


def pruned_copy(dense: nn.Module, cut: Callable[[nn.Module], ChannelPlan]) -> tuple[nn.Module, ChannelPlan]:
    """Cut a copy of a network."""
    network = copy_network(dense)
    plan = cut(network)
    return network.eval(), plan


def check_pruned(explained: Explained) -> None:
    """Refuse a network whose shapes are all dense.

    Raises:
        PruningError: If no width changed.
    """
    if all(layer.outputs == layer.dense_outputs for layer in explained.plan.layers.values()):
        raise PruningError(
            f"{explained.name}: no width changed, so no time can have; every group was kept whole "
            "(`pruning-bench plan` says why)"
        )


def setting_of(
    subject: Subject | None,
    backend: str | None,
    batch_size: int | None,
    threads: int | None,
    device: str | None,
) -> Setting:
    """Return the setting asked for; what is not asked for is as the cell was measured, else eager and 1.

    Args:
        subject: A checkpoint with the record of its cell, if there is one.
        backend: `openvino:int8`; None: not asked for.
        batch_size: Likewise.
        threads: 0 for all; None: as the cell, all where this machine has fewer.
        device: `cpu`, `cuda:0`; None: as the cell.
    """
    record = {} if subject is None or subject.record is None else subject.record
    name, _, precision = (str(record.get("backend", "eager")) if backend is None else backend).partition(":")
    precision = precision or (str(record.get("precision", "fp32")) if backend is None else "fp32")
    device = str(record.get("device", "cpu")) if device is None else device
    if threads is None:
        recorded = int(record.get("threads", 0)) if device.startswith("cpu") else 0
        threads = recorded if recorded < usable_cores() else 0
    return Setting(name, precision, batch_size or int(record.get("batch_size", 1)), device, threads)


def _masked(method: str) -> str:
    return (
        f"{method} sets weights to zero and removes no channel: all shapes stay dense, and none of these "
        "backends skips a zero, so there is no time to save. Use a method that removes channels"
    )

"""How fast this machine trains a network: our step in pairs with a loop as tutorials write it, as fields."""

from statistics import median
from typing import Any

import torch

from pruning_core.config.spec import DenseSpec
from pruning_core.datasets.base import Dataset
from pruning_core.measure.interleaved import ReferenceGroup
from pruning_core.models import build_model
from pruning_core.pruning.cost import count_cost
from pruning_core.suites.latency_fields import contention_fields, speedup_fields
from pruning_core.suites.timing import Timer
from pruning_core.suites.training_speed import FLOPS_PER_MAC, BaselineStep, TrainerStep

PLAIN = "baseline loop"
"""The reference of a training cell: DataLoader, image by image, float32, contiguous, plain SGD."""


def time_training(
    spec: DenseSpec, dataset: Dataset, timer: Timer, threads: int
) -> tuple[dict[str, Any], list[float]]:
    """Time steps of a training, and of a baseline loop over the same images.

    Args:
        spec: Which network, and how it is trained.
        dataset: The one of the spec.
        timer: Takes the samples.
        threads: CPU threads.

    Returns:
        Fields of the record, and the samples in seconds per step.
    """
    images = spec.dataset
    shape = (images.channels, images.height, images.width)
    network = build_model(spec.model.name, images.classes, shape, spec.train.seed)
    ours, plain = TrainerStep(network, dataset, spec.train), BaselineStep(network, dataset, spec.train)
    device = str(ours.device)
    ((timing,),), contention = timer.time_interleaved(
        f"training steps of {spec.model.name} on {spec.dataset.name}",
        device,
        threads,
        [ReferenceGroup(plain, [ours], timer.options.budget_s)],
    )
    step_s, plain_s = median(timing.candidate_s), median(timing.reference_s)
    fields: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "train_precision": ours.precision,
        "train_cuda_graph": ours.graphed,
        "train_memory_format": ours.memory_format,
        "batch_size": ours.batch_size,
        "step_ms": step_s * 1e3,
        "images_per_s": ours.batch_size / step_s,
        "reference": PLAIN,
        "reference_images_per_s": ours.batch_size / plain_s,
        "data_share": ours.data_share,
        "is_control": False,
        **speedup_fields(timing, timer.options),
        **contention_fields(contention),
    }
    ceiling = timer.ceiling(device, ours.precision, threads)
    if ceiling is not None:
        macs = count_cost(network, torch.zeros(1, *shape)).macs
        flops_per_s = FLOPS_PER_MAC * macs * ours.batch_size / step_s
        fields["peak_gflops"] = ceiling.peak_flops_per_s / 1e9
        fields["roofline_fraction"] = flops_per_s / ceiling.peak_flops_per_s
    return fields, list(timing.candidate_s)

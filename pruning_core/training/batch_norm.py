"""Batch norms after pruning: their statistics are recalibrated on training images."""

import torch
from torch import nn

from pruning_core.config.spec import FineTuneSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import batches
from pruning_core.training.device import move_to, resolve_device
from pruning_core.training.reproducibility import derive_seed

_BATCH_SIZE = 256


def recalibrate_batch_norms(network: nn.Module, dataset: Dataset, spec: FineTuneSpec) -> None:
    """Recalibrate the statistics of all batch norms on training images, in place; weights stay.

    Pruning removes inputs that a norm's mean and variance were computed over. Until they are recalibrated,
    even a network that lost little is at chance level. Evidence: `training/README.md`.

    Args:
        network: On the CPU; left there, in evaluation mode.
        dataset: `spec.norm_images` of its training images are used, chosen by `spec.seed`, not augmented.
        spec: How the network will be fine-tuned.

    Source: Li et al., "EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", ECCV 2020.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or spec.norm_images == 0:
        return
    device = resolve_device(spec)
    momentums = [norm.momentum for norm in norms]
    move_to(network, device, torch.channels_last)
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    shuffle = torch.Generator().manual_seed(derive_seed(spec.seed, 0, "norms"))
    chosen = torch.randperm(len(dataset.train.labels), generator=shuffle)[: spec.norm_images]
    split = Split(dataset.train.images[chosen], dataset.train.labels[chosen])
    with torch.inference_mode():
        for images, _ in batches(split, dataset.spec, _BATCH_SIZE, device=device):
            network(images.contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momentums, strict=True):
        norm.momentum = momentum
    move_to(network, torch.device("cpu"), torch.contiguous_format)
    network.eval()

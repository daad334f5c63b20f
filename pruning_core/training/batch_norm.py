"""Batch norms after pruning: their statistics are recalibrated on training images."""

import torch
from torch import nn

from pruning_core.config.spec import FineTuneSpec
from pruning_core.datasets.base import Dataset
from pruning_core.datasets.batches import announce_batches, make_batch, sample_epoch
from pruning_core.models.memory_format import choose_memory_format
from pruning_core.training.device import move_to, resolve_device
from pruning_core.training.epoch import split_epoch
from pruning_core.training.failures import step_failures
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
    images = dataset.spec
    image = (images.channels, images.height, images.width)
    memory_format = choose_memory_format(network, image, torch.channels_last, device)
    move_to(network.eval(), device, memory_format)
    before = [(norm.momentum, {name: b.clone() for name, b in norm.named_buffers()}) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    shuffle = torch.Generator().manual_seed(derive_seed(spec.seed, 0, "norms"))
    chosen = torch.randperm(len(dataset.train.labels), generator=shuffle)[: spec.norm_images]
    choices = split_epoch(sample_epoch(dataset.train, images, _BATCH_SIZE)[chosen], _BATCH_SIZE)
    announce_batches(dataset.train, choices)
    with torch.inference_mode():
        for chosen in choices:
            batch, _ = make_batch(dataset.train, images, chosen, device)
            with step_failures(len(batch), "run with its batch norms in training mode"):
                network(batch.contiguous(memory_format=memory_format))
    for norm, (momentum, buffers) in zip(norms, before, strict=True):
        norm.momentum = momentum
        if norm.num_batches_tracked == 0:  # of a layer that runs in training alone, as auxiliary heads do
            norm.load_state_dict(buffers, strict=False)
    move_to(network, torch.device("cpu"), torch.contiguous_format)
    network.eval()

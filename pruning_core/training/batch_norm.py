"""Batch norms after pruning: their statistics are recalibrated on training examples."""

import torch
from torch import nn

from pruning_core.config.spec import FineTuneSpec
from pruning_core.models.inputs import count_rows, lay_out_rows, run, to_device
from pruning_core.models.memory_format import choose_memory_format
from pruning_core.tasks.base import Task
from pruning_core.tasks.seeds import derive_seed
from pruning_core.training.device import move_to, resolve_device
from pruning_core.training.failures import step_failures


def recalibrate_batch_norms(network: nn.Module, task: Task, spec: FineTuneSpec) -> None:
    """Recalibrate the statistics of all batch norms on training examples, in place; weights stay.

    Pruning removes inputs that a norm's mean and variance were computed over. Until they are recalibrated,
    even a network that lost little is at chance level. Evidence: `training/README.md`.

    Args:
        network: On the CPU; left there, in evaluation mode.
        task: `spec.norm_images` of its training examples are used, chosen by `spec.seed`, not augmented.
        spec: How the network will be fine-tuned.

    Source: Li et al., "EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", ECCV 2020.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or spec.norm_images == 0:
        return
    device = resolve_device(spec)
    memory_format = choose_memory_format(network, task.example(), torch.channels_last, device)
    move_to(network.eval(), device, memory_format)
    before = [(norm.momentum, {name: b.clone() for name, b in norm.named_buffers()}) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    shuffle = torch.Generator().manual_seed(derive_seed(spec.seed, 0, "norms"))
    with torch.inference_mode():
        for inputs in task.training_inputs(spec.norm_images, shuffle):
            with step_failures(count_rows(inputs), None):
                run(network, lay_out_rows(to_device(inputs, device), memory_format))
    for norm, (momentum, buffers) in zip(norms, before, strict=True):
        norm.momentum = momentum
        if norm.num_batches_tracked == 0:  # of a layer that runs in training alone, as auxiliary heads do
            norm.load_state_dict(buffers, strict=False)
    move_to(network, torch.device("cpu"), torch.contiguous_format)
    network.eval()

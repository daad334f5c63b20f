"""How much memory networks take that are timed together, and which are."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import nn

from pruning_core.models.inputs import Inputs, run, tensors_of
from pruning_core.system.memory import available_memory_bytes

Key = TypeVar("Key")

MEMORY_BYTES = 2_000_000_000
"""Networks are timed together up to as much, or more where it is free, as all stay in memory; one always."""

COPIES = 3
"""Of each network: the one given, the one with new statistics, and the one that a backend loaded."""


def in_sessions(
    reference: nn.Module, networks: Mapping[Key, nn.Module], example: Inputs, batch_size: int
) -> Iterator[dict[Key, nn.Module]]:
    """Give networks in as many parts as half of the free memory needs, in their order, for one backend.

    Args:
        reference: Timed in each part, beside a control.
        networks: At least one of them is in each part.
        example: What all of them take, of one example.
        batch_size: In which they are timed.
    """
    limit = max(MEMORY_BYTES, available_memory_bytes() // 2)
    empty = held = (COPIES + 1) * bytes_of(reference, example, batch_size)
    part: dict[Key, nn.Module] = {}
    for key, network in networks.items():
        size = COPIES * bytes_of(network, example, batch_size)
        if part and held + size > limit:
            yield part
            part, held = {}, empty
        part[key] = network
        held += size
    if part:
        yield part


def bytes_of(network: nn.Module, example: Inputs, batch_size: int) -> int:
    """Estimate what one loaded network holds: its weights, and the largest activations of one layer."""
    largest = 0

    def count(_: nn.Module, inputs: Inputs, outputs: Inputs) -> None:
        nonlocal largest
        largest = max(largest, sum(t.numel() for t in tensors_of((inputs, outputs))))

    leaves = [module for module in network.modules() if next(module.children(), None) is None]
    hooks = [module.register_forward_hook(count) for module in leaves]
    was_training = network.training
    try:
        with torch.inference_mode():
            run(network.eval(), example)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return weight_bytes(network) + 4 * batch_size * largest


def weight_bytes(network: nn.Module) -> int:
    """Return what the parameters and buffers of a network take."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))

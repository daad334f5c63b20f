"""Rank channels by how large they are: the mean size of what layers read, over training examples.

Labels play no part. A channel that is always near zero goes, whatever weights read it.

Source: Hu et al., "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
Architectures", 2016, with the mean size of activations in place of the share that is zero.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.pruning.base import PruningStep
from pruning_core.pruning.data_driven import losses_of
from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp

READERS = (nn.Conv2d, nn.Linear)


class Activation(StructuredMethod):
    """Mean absolute input of the layers that read a channel, group-wise."""

    name = "activation"
    uses_data = True

    def importance(self) -> Importance:
        """Return torch-pruning's score of recorded inputs."""
        score: Importance = tp.importance.ActivationImportance()
        return score

    def importance_of(self, network: nn.Module, step: PruningStep) -> Importance:
        """Record what the layers of a network read, over all examples, for torch-pruning to find."""
        totals: dict[nn.Module, tuple[Tensor, int]] = {}

        def record(layer: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
            read = inputs[0].detach().abs()
            channels = read.transpose(0, -1) if isinstance(layer, nn.Linear) else read.transpose(0, 1)
            total, n = totals.get(layer, (0.0, 0))
            totals[layer] = total + channels.flatten(1).mean(1), n + 1

        with ExitStack() as stack, torch.no_grad():
            for layer in network.modules():
                if isinstance(layer, READERS):
                    stack.callback(layer.register_forward_hook(record).remove)
            for _ in losses_of(self.name, step)(network, False):
                pass
        for layer, (total, n) in totals.items():
            layer._importance = total / n  # where torch-pruning looks for it
        return self.importance()

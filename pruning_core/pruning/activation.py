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
from pruning_core.pruning.graph import ROOT_TYPES, width_of
from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp

READS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


class Activation(StructuredMethod):
    """Mean absolute input of the layers that read a channel, group-wise, relative to the group's mean."""

    name = "activation"
    uses_data = True

    def importance(self) -> Importance:
        """Return the score of layers that have read nothing."""
        return score_by({})

    def importance_of(self, network: nn.Module, step: PruningStep) -> Importance:
        """Record what the layers of a network read, over all examples."""
        totals: dict[nn.Module, tuple[Tensor, int]] = {}

        def record(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], _: Any) -> None:
            read = (inputs[0] if inputs else named["input"]).detach().abs()
            of_channels = -1 if isinstance(layer, nn.Linear) else -len(layer.kernel_size) - 1  # type: ignore[arg-type]
            total, n = totals.get(layer, (torch.zeros(()), 0))
            totals[layer] = total + read.transpose(0, of_channels).flatten(1).mean(1), n + 1

        with ExitStack() as stack:
            for layer in network.modules():
                if isinstance(layer, ROOT_TYPES):
                    stack.callback(layer.register_forward_hook(record, with_kwargs=True).remove)
            for _ in losses_of(self.name, step)(network, False):
                pass
        return score_by({layer: total / n for layer, (total, n) in totals.items()})


def score_by(sizes: dict[nn.Module, Tensor]) -> Importance:
    """Return a score of the channels of a group: how large they are for those that read them, on average.

    Torch-pruning's own takes sizes for those of other channels where a channel is read as several inputs, and
    does not know layers that flatten.

    Args:
        sizes: Layer → (inputs,) mean absolute value of each.
    """

    def score(group: object) -> Tensor | None:
        total = readers = torch.zeros(width_of(group[0].dep.target.module))  # type: ignore[index]
        zeros = torch.zeros_like(total)
        for item in group:  # type: ignore[attr-defined]
            layer = item.dep.target.module
            if item.dep.handler not in READS or layer not in sizes:
                continue
            known = [(r, i) for r, i in zip(item.root_idxs, item.idxs, strict=True) if r is not None]
            roots, inputs = torch.tensor(known, dtype=torch.long).reshape(-1, 2).T
            n = zeros.index_add(0, roots, torch.ones(len(roots)))
            # A channel that is several inputs, pixels of a map that was flattened, is as large as their mean.
            total = total + zeros.index_add(0, roots, sizes[layer][inputs]) / n.clamp(min=1)
            readers = readers + n.clamp(max=1)
        if not readers.any():
            return None
        found = total / readers.clamp(min=1)
        return found / found.mean()

    return score

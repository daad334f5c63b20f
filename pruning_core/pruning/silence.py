"""What is left of a network's tensors, and silencing what is not: two steps of a proof (`proof.py`).

What reads a channel is known of convolutions, linear layers, attention and recurrent layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.pruning.base import Kept
from pruning_core.pruning.tensors import all_tensors, first_tensors


@dataclass(frozen=True)
class Left:
    """What is left of the tensors of a network."""

    kept: Kept
    factors: Mapping[str, Tensor]

    def carry_over(self, reference: nn.Module, after: nn.Module) -> None:
        """Give what is left of a network the weights that the whole one has now."""
        targets = first_tensors(after)
        with torch.no_grad():
            for name, tensor in first_tensors(reference).items():
                content = tensor
                for dimension, indices in enumerate(self.kept.get(name, ())):
                    content = content.index_select(dimension, indices)
                if name in self.factors:
                    content = content * self.factors[name].reshape(-1, *(1,) * (content.dim() - 1))
                targets[name].copy_(content)


def silence(network: nn.Module, kept: Kept, writers: bool) -> nn.Module:
    """Set to zero what reads the channels that are gone; with `writers` all that is gone."""
    modules = dict(network.named_modules(remove_duplicate=False))
    tensors = all_tensors(network)
    with torch.no_grad():
        for name, indices in kept.items():
            owner, _, local = name.rpartition(".")
            tensor = tensors[name]
            for dimension in range(tensor.dim()) if writers else _reading_dimensions(modules[owner], local):
                gone = torch.ones(tensor.shape[dimension], dtype=torch.bool)
                gone[indices[dimension]] = False
                neutral = 1.0 if local == "running_var" else 0.0
                tensor.index_fill_(dimension, gone.nonzero().flatten(), neutral)
    return network


def _reading_dimensions(module: nn.Module, name: str) -> tuple[int, ...]:
    """Return the dimensions of a tensor along which it takes channels in."""
    if isinstance(module, nn.modules.conv._ConvNd) and name == "weight":
        return (0,) if module.transposed else (1,)
    if isinstance(module, nn.Linear | nn.MultiheadAttention) and name.endswith("weight"):
        return (1,)
    if isinstance(module, nn.RNNBase) and name.startswith("weight_ih"):
        return (1,)
    return ()

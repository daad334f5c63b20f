"""Mask weights by chance: the control that every other masking method must beat."""

import torch
from torch import Tensor
from torch.nn.utils import prune

from pruning_core.pruning.masks import UnstructuredMethod


class UnstructuredRandom(UnstructuredMethod):
    """Which weights become zero is decided by the seed of the fine-tuning and the ratio."""

    name = "unstructured-random"
    torch_method = prune.RandomUnstructured

    def score(self, weight: Tensor) -> Tensor:
        """Return a random score for each weight."""
        return torch.rand_like(weight)

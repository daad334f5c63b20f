"""Remove channels by chance: the control that every other method must beat."""

from collections.abc import Mapping

import torch
from torch import nn

from pruning_core.pruning.base import PruningStep
from pruning_core.pruning.structured import prune_structured, torch_pruning_version
from pruning_core.torchvision_compat import torch_pruning as tp


class Random:
    """A uniformly random score for each channel, decided by the seed of the fine-tuning and the ratio."""

    name = "random"
    masks = False
    scopes: tuple[str, ...] = ("local", "global")

    def library(self) -> str:
        """Return the version of torch-pruning."""
        return torch_pruning_version()

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Cut channels by chance, the same ones for the same seed and ratio."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step.sampling_seed)
            return prune_structured(network, step, tp.importance.RandomImportance())

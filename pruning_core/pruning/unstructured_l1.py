"""Mask the weights of smallest magnitude.

Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.
"""

import torch
from torch import Tensor
from torch.nn.utils import prune

from pruning_core.pruning.masks import UnstructuredMethod


class UnstructuredL1(UnstructuredMethod):
    """The weights nearest to zero become zero."""

    name = "unstructured-l1"
    torch_method = prune.L1Unstructured

    def score(self, weight: Tensor) -> Tensor:
        """Return the magnitude of each weight."""
        return torch.abs(weight)

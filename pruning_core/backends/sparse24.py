"""Weights of which two in every four are zero, on the units that NVIDIA's GPUs have for them, by cuSPARSELt.

Source: PyTorch's tutorial on semi-structured sparsity,
https://docs.pytorch.org/tutorials/advanced/semi_structured_sparse.html
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.sparse import to_sparse_semi_structured

from pruning_core.backends.sparse import SparseBackend
from pruning_core.backends.sparse_layers import Product
from pruning_core.pruning.semi_structured import GONE, GROUP

SIDE = 32
"""Rows and columns of a weight are multiples of this: so all releases of PyTorch that we run take it."""

FIRST_GENERATION = (8, 0)
"""Compute capability of the first GPUs that have such units."""


class Sparse24(SparseBackend):
    """PyTorch, eager, with weights of which two in every four are zero."""

    name = "sparse24"
    precisions = ("bf16", "fp16")
    advice = "Take a network of linear layers, masked by semi-structured"

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Refuse every device that has no such units, and PyTorch without cuSPARSELt."""
        if not device.startswith("cuda"):
            return f"2:4 weights run on CUDA only, not on {device}. Use --devices cuda, or the backend csr."
        if not torch.backends.cusparselt.is_available():
            return "this PyTorch is built without cuSPARSELt. Use the backend eager."
        if torch.cuda.is_available() and torch.cuda.get_device_capability(device) < FIRST_GENERATION:
            return "this GPU is older than Ampere, and has no units for 2:4 weights. Use the backend eager."
        return None

    def unfit_reason(self, matrix: Tensor) -> str | None:
        """Refuse a weight of another pattern or shape."""
        rows, columns = matrix.shape
        if rows % SIDE or columns % SIDE:
            return f"has {rows} × {columns} weights, and needs multiples of {SIDE}"
        if int((matrix.reshape(rows, -1, GROUP) != 0).sum(2).max()) > GROUP - GONE:
            return f"has more than {GROUP - GONE} weights in some groups of {GROUP}"
        return None

    def store(self, matrix: Tensor, bias: Tensor | None) -> Product:
        """Compress it (see `SparseBackend.store`)."""
        stored = to_sparse_semi_structured(matrix)
        # It views what it multiplies: that must lie in one piece.
        return lambda rows: F.linear(rows.contiguous(), stored, bias)

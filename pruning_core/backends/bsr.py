"""Masked weights in blocks: a block that is zero is skipped, one that holds a weight is multiplied whole.

Source: PyTorch's notes on `torch.sparse`, https://docs.pytorch.org/docs/stable/sparse.html#sparse-bsr-docs
"""

import torch
from torch import Tensor

from pruning_core.backends.csr import unavailable_on_cpu
from pruning_core.backends.sparse import SparseBackend, product_on_cpu
from pruning_core.backends.sparse_layers import Product
from pruning_core.pruning.block_sparse import BLOCK_SIDE


class Bsr(SparseBackend):
    """PyTorch, eager, with masked weights in BSR, in blocks as `block-sparse` masks them."""

    name = "bsr"
    precisions = ("fp32",)
    told = {"blocksize": f"{BLOCK_SIDE}x{BLOCK_SIDE}"}  # noqa: RUF012  # nobody changes it
    advice = f"Its layers need widths that are multiples of {BLOCK_SIDE}"

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Refuse other devices, and PyTorch without MKL."""
        return unavailable_on_cpu(self.name, device)

    def unfit_reason(self, matrix: Tensor) -> str | None:
        """Refuse a weight that blocks do not divide."""
        if matrix.shape[0] % BLOCK_SIDE or matrix.shape[1] % BLOCK_SIDE:
            rows, columns = matrix.shape
            return f"has {rows} × {columns} weights, which blocks of side {BLOCK_SIDE} do not divide"
        return None

    def store(self, matrix: Tensor, bias: Tensor | None) -> Product:
        """Store it with indices of 32 bits, which MKL takes as they are (see `SparseBackend.store`)."""
        found = matrix.to_sparse_bsr((BLOCK_SIDE, BLOCK_SIDE))
        rows, columns = found.crow_indices().int(), found.col_indices().int()
        stored = torch.sparse_bsr_tensor(
            rows, columns, found.values(), size=found.shape, check_invariants=True
        )
        return product_on_cpu(stored, bias)

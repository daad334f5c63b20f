"""Masked weights in compressed sparse rows: every zero is skipped, wherever it lies.

Source: PyTorch's notes on `torch.sparse`, https://docs.pytorch.org/docs/stable/sparse.html#sparse-csr-docs
"""

import torch
from torch import Tensor

from pruning_core.backends.sparse import SparseBackend, product_on_cpu
from pruning_core.backends.sparse_layers import Product


def unavailable_on_cpu(name: str, device: str) -> str | None:
    """Return why products of compressed layouts cannot run on a device here; None if they can."""
    if device != "cpu":
        return f"our backend {name} runs on cpu only, not on {device}. Use --devices cpu."
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]  # torch has no annotation here
        return "this PyTorch is built without MKL, which has the sparse products. Use the backend eager."
    return None


class Csr(SparseBackend):
    """PyTorch, eager, with masked weights in CSR."""

    name = "csr"
    precisions = ("fp32",)
    advice = "Take a network of linear layers"

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Refuse other devices, and PyTorch without MKL."""
        return unavailable_on_cpu(self.name, device)

    def unfit_reason(self, matrix: Tensor) -> str | None:
        """Any weight can be stored so."""
        return None

    def store(self, matrix: Tensor, bias: Tensor | None) -> Product:
        """Store it with indices of 32 bits, which MKL takes as they are (see `SparseBackend.store`)."""
        found = matrix.to_sparse_csr()
        rows, columns = found.crow_indices().int(), found.col_indices().int()
        stored = torch.sparse_csr_tensor(
            rows, columns, found.values(), size=found.shape, check_invariants=True
        )
        return product_on_cpu(stored, bias)

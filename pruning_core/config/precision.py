"""The precisions that a checkpoint is executed in: one table for all that depends on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Precision:
    """What follows from a precision, whatever the backend."""

    torch_name: str
    bytes_per_value: int
    min_agreement: float
    """Test images, as a fraction, that must be predicted as by eager fp32 where thresholds.toml says nothing.

    Room for what rounding may decide, and for one image of a few hundred. Below it a backend runs another
    network, or one that is broken: its speed would be no speed.
    """

    @property
    def dtype(self) -> torch.dtype:
        """The type of torch's tensors; torch is imported only here, since grids are read without it."""
        import torch

        dtype: torch.dtype = getattr(torch, self.torch_name)
        return dtype


PRECISIONS: dict[str, Precision] = {
    "fp32": Precision("float32", 4, min_agreement=0.995),
    "bf16": Precision("bfloat16", 2, min_agreement=0.98),
    "fp16": Precision("float16", 2, min_agreement=0.98),
    "int8": Precision("int8", 1, min_agreement=0.95),
}

"""Eager PyTorch that executes masked weights by products of sparse matrices; all else as in `eager`.

The dense network, which masked ones are timed against, has no zeros: it runs as in `eager`.
"""

import warnings
from abc import abstractmethod

import torch
from torch import Tensor, nn

from pruning_core.backends.base import Executable
from pruning_core.backends.eager import TorchBackend, TorchExecutable
from pruning_core.backends.onnx_export import relative_difference
from pruning_core.backends.sparse_layers import (
    Product,
    called_layers,
    compute_by,
    no_product_reason,
    set_contiguous,
)
from pruning_core.errors import BackendError
from pruning_core.models.inputs import Inputs, random_like, repeat_rows
from pruning_core.pruning.sparsity import MaskableLayer
from pruning_core.pruning.weight_rows import rows_of

MIN_ZEROS = 0.1
"""A layer is masked from this fraction of zeros on: single ones come by training, too."""

MAX_DIFFERENCE = {"fp32": 0.01, "fp16": 0.05, "bf16": 0.25}
"""Precision → largest error of an output, as a fraction of the largest."""

PREVIEWS = (r"Sparse (CSR|BSR) tensor support is in beta", r"The PyTorch API of SparseSemiStructuredTensor")
"""How the warnings begin by which PyTorch says that its sparse tensors may change."""


class SparseExecutable(TorchExecutable):
    """A network some of whose layers are products of sparse matrices."""

    def __init__(
        self, model: nn.Module, *, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> None:
        """Hold the network, dense as yet (see `TorchExecutable`)."""
        super().__init__(model, dtype=dtype, device=device, layout=layout)
        self._told: dict[str, str] = {}

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return how many of the masked layers are sparse, and what the backend says of them."""
        return self._told

    def peak_memory_bytes(self, inputs: Inputs) -> int | None:
        """Count nothing: the dense weights are kept beside the sparse ones."""
        return None

    def make_sparse(self, backend: "SparseBackend", example: Inputs) -> bool:
        """Let masked layers compute by sparse products, where they can; tell whether there are any.

        Raises:
            BackendError: If there are masked layers, and none can.
        """
        layers = [(name, layer) for name, layer in self._model.named_modules() if _is_masked(layer)]
        if not layers:
            return False
        called = called_layers(self._model, self._lay_out(example))
        reasons = {}
        for name, layer in layers:
            reason = no_product_reason(layer)
            if reason is None and layer not in called:
                reason = "is not called: its weight is read by another function, or by none"
            matrix = rows_of(layer.weight).flatten(1)
            if reason := reason or backend.unfit_reason(matrix):
                reasons[name] = reason
                continue
            compute_by(layer, _stored(backend, matrix, layer.bias))
        if len(reasons) == len(layers):
            name, reason = next(iter(reasons.items()))
            raise BackendError(
                f"{backend.name} can execute none of the {len(layers)} masked layers of this model; layer "
                f"{name!r}, for one, {reason}. {backend.advice}, or use the backend eager"
            )
        self._told = {"sparse_layers": f"{len(layers) - len(reasons)}/{len(layers)}", **backend.told}
        try:
            self.predict(repeat_rows(example, 2))  # one row is always in one piece
        except BackendError:  # strided outputs are faster, and not what every network takes
            set_contiguous(self._model)
        return True


class SparseBackend(TorchBackend):
    """A backend that skips weights that are zero: made for methods that mask, and for no others."""

    for_masks = True
    shared_thread_pool = True
    told: dict[str, str] = {}  # noqa: RUF012  # a subclass replaces it, nobody changes it
    """Options that differ from PyTorch's defaults."""
    advice: str
    """Which method leaves weights that it can execute."""

    @abstractmethod
    def unfit_reason(self, matrix: Tensor) -> str | None:
        """Return why a weight (O, I) with zeros cannot be stored, after "layer 'fc'"; None if it can be."""

    @abstractmethod
    def store(self, matrix: Tensor, bias: Tensor | None) -> Product:
        """Store a weight (O, I) sparsely, and return what multiplies by it."""

    def make_executable(
        self, model: nn.Module, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> SparseExecutable:
        """Return the network, dense as yet."""
        return SparseExecutable(model, dtype=dtype, device=device, layout=layout)

    def load(
        self,
        model: nn.Module,
        example: Inputs,
        *,
        precision: str,
        device: str,
        threads: int,
        calibration: Inputs = None,
    ) -> Executable:
        """Copy the model, and store its masked weights sparsely (see `Backend.load`)."""
        executable = super().load(model, example, precision=precision, device=device, threads=threads)
        assert isinstance(executable, SparseExecutable)
        if executable.make_sparse(self, example):
            inputs = random_like(example, 3, torch.Generator().manual_seed(0))
            difference = relative_difference(executable, model, inputs)
            if difference > MAX_DIFFERENCE[precision]:
                raise BackendError(
                    f"the products of {self.name} do not answer as the model does (outputs differ by "
                    f"{difference:.3g} of the largest). Use the backend eager."
                )
        return executable


def _is_masked(layer: nn.Module) -> bool:
    return isinstance(layer, MaskableLayer) and float((layer.weight == 0).float().mean()) >= MIN_ZEROS


def _stored(backend: SparseBackend, matrix: Tensor, bias: Tensor | None) -> Product:
    with warnings.catch_warnings():
        for preview in PREVIEWS:
            warnings.filterwarnings("ignore", message=preview)
        return backend.store(matrix.detach().contiguous(), bias)


def product_on_cpu(stored: Tensor, bias: Tensor | None) -> Product:
    """Return the product by a weight in a compressed layout, as fast as PyTorch has it (`README.md`).

    Args:
        stored: CSR or BSR, (O, I).
        bias: (O,), or None.
    """
    if bias is None:
        return lambda rows: torch.mm(stored, rows.t()).t()
    column = bias.detach()[:, None]
    return lambda rows: torch.addmm(column, stored, rows.t()).t()

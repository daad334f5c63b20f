"""`torch.compile` with Inductor: one graph, compiled ahead for each batch size it is asked about.

Compiling takes seconds to minutes and never falls into a timed call. Not for: PyTorch without compiling
(`eager.py`).
"""

import os
import shutil
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning_core.backends.base import Backend, Executable, first_line_of, missing_packages
from pruning_core.backends.eager import DTYPES, TorchExecutable, place_copy, set_torch_threads
from pruning_core.errors import BackendError

Run = Callable[[Tensor], Tensor]


class Inductor(Backend):
    """PyTorch, compiled."""

    name = "compile"
    precisions = ("fp32", "bf16")

    def why_unavailable(self, precision: str, device: str) -> str | None:
        """Look for what Inductor writes code for: a C++ compiler, or Triton on CUDA."""
        if device.startswith("cuda"):
            return missing_packages("triton")
        asked = os.environ.get("CXX")
        if not any(shutil.which(compiler) for compiler in ([asked] if asked else ["g++", "clang++"])):
            looked_for = f"CXX={asked}" if asked else "g++ or clang++"
            return f"Inductor needs a C++ compiler and finds no {looked_for}. Install g++, or set CXX."
        return None

    def load(
        self, model: nn.Module, example: Tensor, *, precision: str, device: str, threads: int
    ) -> Executable:
        """Copy the model to the device and precision; compile later, by batch size (see `Backend.load`)."""
        set_torch_threads(threads)
        placed = place_copy(model, precision=precision, device=device)
        return InductorExecutable(placed, dtype=DTYPES[precision], device=device)


class InductorExecutable(TorchExecutable):
    """A module compiled once for each batch size."""

    def __init__(self, model: nn.Module, *, dtype: torch.dtype, device: str) -> None:
        """Hold the module that is compiled later (see `TorchExecutable`)."""
        super().__init__(model, dtype=dtype, device=device)
        self._model = model
        self._compiled: dict[int, Run] = {}  # batch size → compiled for it

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits on the CPU; fewer images than a compiled batch are filled up to it."""
        n = len(images)
        size = min((size for size in self._compiled if size >= n), default=n)
        filling = images.new_zeros(size - n, *images.shape[1:])  # images do not see each other in evaluation
        placed = self._lay_out(torch.cat([images, filling]))  # (size, C, H, W)
        run = self._compile_for(placed)
        with torch.inference_mode():
            logits = run(placed)[:n]  # (N, classes)
        return logits.to("cpu", torch.float32, copy=True)

    def bind(self, images: Tensor) -> Callable[[], Tensor]:
        """Compile for this batch size and return a callable to be timed (see `Executable.bind`)."""
        placed = self._lay_out(images)
        run = self._compile_for(placed)
        return TorchExecutable(run, dtype=self._dtype, device=str(self._device)).bind(images)

    def _compile_for(self, placed: Tensor) -> Run:
        n = len(placed)
        if n not in self._compiled:
            self._compiled[n] = _compile(self._model, placed)
        return self._compiled[n]


def _compile(model: nn.Module, placed: Tensor) -> Run:
    def run(images: Tensor) -> Tensor:
        logits: Tensor = model(images)
        return logits

    # Dynamo counts recompilations per code object and gives up after eight. All networks of one class, and
    # all batch sizes, share the code object of their `forward`; a code object of its own lifts that limit.
    run.__code__ = run.__code__.replace()
    # fullgraph: part of a model in a graph and part in Python would be timed as if it were compiled.
    # freezing: weights are constants; folds BatchNorm, and compiled the CIFAR ResNet-18 in 4 s, not 8 to 30.
    compiled: Run = torch.compile(run, dynamic=False, fullgraph=True, options={"freezing": True})
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # Inductor's own deprecated calls; nothing a user could mend
            compiled(placed)
    except Exception as error:
        raise BackendError(
            f"torch.compile cannot compile this model as one graph: {first_line_of(error)}"
        ) from error
    return compiled

"""`torch.compile` with Inductor: one graph for each batch size, compiled before that size is timed."""

import os
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pruning_core.backends.base import missing_packages
from pruning_core.backends.eager import PerBatchExecutable, Run, TorchBackend, TorchExecutable
from pruning_core.errors import BackendError, first_line
from pruning_core.models.inputs import Inputs, Outputs, run

DYNAMIC = False
"""Each batch size is compiled for itself."""

FULLGRAPH = True
"""A model that is partly in a graph and partly in Python would be timed as if it were compiled."""

INDUCTOR_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {"freezing": True}
"""Weights are constants, so that BatchNorm is folded into them; compiling is faster, too (`README.md`)."""


class Inductor(TorchBackend):
    """PyTorch, compiled."""

    name = "compile"
    precisions = ("fp32", "bf16")
    shared_thread_pool = True

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Look for what Inductor generates code for: a C++ compiler, or Triton on CUDA."""
        if device.startswith("cuda"):
            return missing_packages("triton")
        asked = os.environ.get("CXX")
        if not any(shutil.which(compiler) for compiler in ([asked] if asked else ["g++", "clang++"])):
            looked_for = f"CXX={asked}" if asked else "g++ or clang++"
            return f"Inductor needs a C++ compiler and finds no {looked_for}. Install g++, or set CXX."
        return None

    def make_executable(
        self, model: nn.Module, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> TorchExecutable:
        """Return what compiles for each batch size, when it comes."""
        return InductorExecutable(model, dtype=dtype, device=device, layout=layout)


class InductorExecutable(PerBatchExecutable):
    """A module compiled once for each batch size."""

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return what `torch.compile` was told (see `Executable.options`)."""
        named = {"dynamic": DYNAMIC, "fullgraph": FULLGRAPH, **INDUCTOR_OPTIONS}
        return {name: str(value) for name, value in named.items()}

    def _prepare(self, on_device: Inputs) -> Run:
        return _compile(self._model, on_device)


def _compile(model: nn.Module, on_device: Inputs) -> Run:
    def forward(inputs: Inputs) -> Outputs:
        return run(model, inputs)

    # Dynamo counts recompilations of a code object and gives up after a few. All networks of one class, and
    # all batch sizes, share the code object of their `forward`; a code object for each lifts that limit.
    forward.__code__ = forward.__code__.replace()
    compiled: Run = torch.compile(forward, dynamic=DYNAMIC, fullgraph=FULLGRAPH, options=INDUCTOR_OPTIONS)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of Inductor's own deprecated calls
            compiled(on_device)
    except Exception as error:
        raise BackendError(
            f"torch.compile cannot compile this model as one graph: {first_line(error)}"
        ) from error
    return compiled

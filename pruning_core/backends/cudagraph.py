"""Eager PyTorch, captured in a CUDA graph: the same kernels, launched by the host in one call.

The kernels of a pruned network may take less time than the host needs to launch them; a graph takes the host
out of it. Beside `eager` it shows what launching costs.
Source: PyTorch's notes on CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from pruning_core.backends.eager import PerBatchExecutable, Run, TorchBackend, TorchExecutable
from pruning_core.errors import BackendError, first_line
from pruning_core.models.inputs import Inputs, Outputs, map_tensors, run, tensors_of
from pruning_core.system.cuda_graph import WARM_UP_CALLS


class CudaGraph(TorchBackend):
    """PyTorch, eager, captured in a CUDA graph."""

    name = "cudagraph"
    precisions = ("fp32", "bf16", "fp16")

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Refuse every other device: only CUDA has CUDA graphs."""
        if not device.startswith("cuda"):
            return f"CUDA graphs run on CUDA only, not on {device}. Use --devices cuda, or the backend eager."
        return None

    def make_executable(
        self, model: nn.Module, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> TorchExecutable:
        """Return what captures a graph for each batch size, when it comes."""
        return CudaGraphExecutable(model, dtype=dtype, device=device, layout=layout)


@dataclass(frozen=True)
class Captured:
    """A graph with the tensors that it reads and writes, which must live as long as it does."""

    replay: Callable[[], None]
    inputs: Inputs
    outputs: Outputs  # every replay overwrites them


class CudaGraphExecutable(PerBatchExecutable):
    """A module captured once for each batch size, and once more for each batch that is timed."""

    def peak_memory_bytes(self, inputs: Inputs) -> int | None:
        """Count an eager run: a replay allocates nothing, it uses the memory that its capture allocated."""
        eager = TorchExecutable(self._model, dtype=self._dtype, device=str(self._device), layout=self._layout)
        return eager.peak_memory_bytes(inputs)

    def _prepare(self, on_device: Inputs) -> Run:
        captured = _capture(self._model, map_tensors(lambda tensor: tensor.clone(), on_device))

        def run_captured(inputs: Inputs) -> Outputs:
            for held, given in zip(tensors_of(captured.inputs), tensors_of(inputs), strict=True):
                held.copy_(given)
            captured.replay()
            return captured.outputs

        return run_captured

    def _bind_launch(self, inputs: Inputs) -> Callable[[], Outputs]:
        # A graph for these inputs alone: no timed call copies any, and no other call overwrites the outputs.
        captured = _capture(self._model, self._lay_out(inputs))

        def launch() -> Outputs:
            captured.replay()
            return captured.outputs

        return launch


def _capture(model: nn.Module, inputs: Inputs) -> Captured:
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(tensors_of(inputs)[0].device), torch.inference_mode():
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch lacks its annotations
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_CALLS):
                    run(model, inputs)
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(graph):
                outputs = run(model, inputs)
    except Exception as error:
        raise BackendError(
            f"this model cannot be captured in a CUDA graph: {first_line(error)}; its forward may wait "
            "for the device. Use the backend eager."
        ) from error
    return Captured(graph.replay, inputs, outputs)

"""Eager PyTorch, captured in a CUDA graph: the same kernels, launched by the host in one call.

The kernels of a pruned network may take less time than the host needs to launch them; a graph takes the host
out of it. Beside `eager` it shows what launching costs.
Source: PyTorch's notes on CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.backends.eager import PerBatchExecutable, Run, TorchBackend, TorchExecutable
from pruning_core.errors import BackendError, first_line
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
    images: Tensor  # (N, C, H, W)
    logits: Tensor  # (N, classes); every replay overwrites it


class CudaGraphExecutable(PerBatchExecutable):
    """A module captured once for each batch size, and once more for each batch that is timed."""

    def peak_memory_bytes(self, images: Tensor) -> int | None:
        """Count an eager run: a replay allocates nothing, it uses the memory that its capture allocated."""
        eager = TorchExecutable(self._model, dtype=self._dtype, device=str(self._device), layout=self._layout)
        return eager.peak_memory_bytes(images)

    def _prepare(self, on_device: Tensor) -> Run:
        captured = _capture(self._model, on_device.clone())

        def run(images: Tensor) -> Tensor:
            captured.images.copy_(images)
            captured.replay()
            return captured.logits

        return run

    def _bind_launch(self, images: Tensor) -> Callable[[], Tensor]:
        # A graph for these images alone: no timed call copies any, and no other call overwrites the logits.
        captured = _capture(self._model, self._lay_out(images))

        def launch() -> Tensor:
            captured.replay()
            return captured.logits

        return launch


def _capture(model: nn.Module, images: Tensor) -> Captured:
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(images.device), torch.inference_mode():
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch lacks its annotations
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_CALLS):
                    model(images)
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(graph):
                logits: Tensor = model(images)
    except Exception as error:
        raise BackendError(
            f"this model cannot be captured in a CUDA graph: {first_line(error)}; its forward may wait "
            "for the device. Use the backend eager."
        ) from error
    return Captured(graph.replay, images, logits)

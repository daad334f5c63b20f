"""PyTorch as it is: one kernel after another, no graph. Every other backend is measured against it in fp32.

A precision is that of weights *and* activations: both are converted, nothing is left to autocast, which
would keep float32 weights and convert them in every call. `fp32` on CUDA is what PyTorch's defaults make
of it: convolutions may use TensorFloat-32.

Not for: anything that compiles (`inductor.py`).
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning_core.backends.base import Backend, Executable

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Eager(Backend):
    """PyTorch, eager."""

    name = "eager"
    precisions = ("fp32", "bf16", "fp16")

    def why_unavailable(self, precision: str, device: str) -> str | None:
        """Refuse fp16 on a CPU, which has no convolutions of that type worth timing."""
        if precision == "fp16" and not device.startswith("cuda"):
            return f"eager runs fp16 on CUDA only, not on {device}. Use fp32 or bf16."
        return None

    def load(
        self, model: nn.Module, example: Tensor, *, precision: str, device: str, threads: int
    ) -> Executable:
        """Copy the model to the device and precision (see `Backend.load`)."""
        set_torch_threads(threads)
        placed = place_copy(model, precision=precision, device=device)
        return TorchExecutable(placed, dtype=DTYPES[precision], device=device)


class TorchExecutable(Executable):
    """A module, or a compiled module, that takes and gives torch tensors."""

    # One fixed choice, so that numbers of two runs mean the same. On an AMD EPYC (Zen 4, 2 threads, torch
    # 2.13) the CIFAR ResNet-18 took, contiguous → channels_last: fp32 11.8 → 10.2 ms at batch 1 and
    # 186 → 164 ms at batch 32; bf16 7.1 → 8.8 ms at batch 1 and 90 → 89 ms at batch 32.
    memory_format = "channels_last"

    def __init__(self, run: Callable[[Tensor], Tensor], *, dtype: torch.dtype, device: str) -> None:
        """Hold what runs.

        Args:
            run: Maps images (N, C, H, W) of `dtype` on `device` to logits (N, classes).
            dtype: Type of images and weights.
            device: Where they are.
        """
        self._run = run
        self._dtype = dtype
        self._device = torch.device(device)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits on the CPU (see `Executable.predict`)."""
        with torch.inference_mode():
            logits = self._run(self._lay_out(images))
        return logits.to(
            "cpu", torch.float32, copy=True
        )  # out here: no inference tensor, a caller may change it

    def bind(self, images: Tensor) -> Callable[[], Tensor]:
        """Return a callable to be timed (see `Executable.bind`)."""
        placed, run, device = self._lay_out(images), self._run, self._device

        def run_once() -> Tensor:
            with torch.inference_mode():
                return run(placed)

        def run_once_and_wait() -> Tensor:
            logits = run_once()
            torch.accelerator.synchronize(device)
            return logits

        return run_once if device.type == "cpu" else run_once_and_wait

    def _lay_out(self, images: Tensor) -> Tensor:
        # (N, C, H, W), and a copy always: a caller may change its images after `bind`.
        return images.to(self._device, self._dtype, copy=True, memory_format=torch.channels_last)


def place_copy(model: nn.Module, *, precision: str, device: str) -> nn.Module:
    """Return a copy of a model on a device, in evaluation mode, in a precision, channels last."""
    placed = copy.deepcopy(model).eval().requires_grad_(False)
    placed = placed.to(device, DTYPES[precision])
    # torch's stub of Module.to lacks a call with memory_format alone.
    channels_last: nn.Module = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return channels_last


def set_torch_threads(threads: int) -> None:
    """Set PyTorch's CPU threads, which are one number for the whole process."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)

"""Eager PyTorch: one kernel after another, no graph. In fp32 it is what other backends are measured against.

A precision is that of weights *and* activations: both are converted. Autocast would keep float32 weights and
convert them in every call. `fp32` on CUDA follows PyTorch's defaults: convolutions may use TensorFloat-32.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning_core.backends.base import Backend, DeviceTime, Executable
from pruning_core.backends.cuda_timing import measure_peak_bytes, time_back_to_back
from pruning_core.config.precision import PRECISIONS
from pruning_core.errors import BackendError
from pruning_core.models.copying import copy_network
from pruning_core.models.memory_format import choose_memory_format, convert, lay_out, name_of
from pruning_core.system.hardware import set_torch_threads
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

Run = Callable[[Tensor], Tensor]
"""Maps images on the device to logits on the device, and does not wait for them."""


class TorchExecutable(Executable):
    """A module that maps torch tensors to torch tensors; a subclass may compile or capture it first."""

    def __init__(
        self, model: nn.Module, *, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> None:
        """Hold the module.

        Args:
            model: Maps images (N, C, H, W) of `dtype` on `device` to logits (N, classes).
            dtype: Type of images and weights.
            device: Device of images and weights.
            layout: How they lie in memory.
        """
        self.memory_format = name_of(layout)
        self._layout = layout
        self._model = model
        self._dtype = dtype
        self._device = torch.device(device)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits on the CPU (see `Executable.predict`).

        Raises:
            BackendError: If the model cannot run, for example not in this precision.
        """
        on_device = self._lay_out(images)
        try:
            run = self._prepare_for(on_device)
            with torch.inference_mode():
                logits = run(on_device)
        except BackendError:
            raise
        except BaseException as error:
            raise_if_not_theirs(error)
            precision = str(self._dtype).removeprefix("torch.")
            raise BackendError(
                f"PyTorch cannot run this model on {len(images)} images in {precision}: {one_line(error)}"
            ) from error
        # Outside of inference mode, so that it is an ordinary tensor that a caller may change.
        return logits.to("cpu", torch.float32, copy=True)

    def bind(self, images: Tensor) -> Callable[[], Tensor]:
        """Return a callable to be timed (see `Executable.bind`)."""
        launch, device = self._bind_launch(images), self._device

        def launch_and_wait() -> Tensor:
            logits = launch()
            torch.accelerator.synchronize(device)
            return logits

        return launch if device.type == "cpu" else launch_and_wait

    def time_on_device(self, images: Tensor) -> DeviceTime | None:
        """Time the model by CUDA events (see `Executable.time_on_device`)."""
        if self._device.type != "cuda":
            return None
        return time_back_to_back(self._bind_launch(images), self._device)

    def peak_memory_bytes(self, images: Tensor) -> int | None:
        """Count what PyTorch allocates on CUDA (see `Executable.peak_memory_bytes`)."""
        if self._device.type != "cuda":
            return None
        on_device = self._lay_out(images)
        run = self._prepare_for(on_device)

        def run_once() -> None:
            with torch.inference_mode():
                run(on_device)

        weights = [*self._model.parameters(), *self._model.buffers()]
        held = sum(tensor.nbytes for tensor in [*weights, on_device])
        return held + measure_peak_bytes(run_once, self._device)

    def _prepare_for(self, on_device: Tensor) -> Run:
        """Return what runs a batch of this size; a subclass may compile here, and keeps what it compiled."""
        return self._model

    def _bind_launch(self, images: Tensor) -> Callable[[], Tensor]:
        """Return a callable that launches one run on these images and does not wait for it."""
        on_device = self._lay_out(images)
        run = self._prepare_for(on_device)

        def launch() -> Tensor:
            with torch.inference_mode():
                return run(on_device)

        return launch

    def _lay_out(self, images: Tensor) -> Tensor:
        # (N, C, H, W); always a copy, as a caller may change its images after `bind`.
        return images.to(self._device, self._dtype, copy=True, memory_format=self._layout)


class PerBatchExecutable(TorchExecutable):
    """A module that is prepared once for each batch size; smaller batches are padded to one of them."""

    def __init__(
        self, model: nn.Module, *, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> None:
        """Hold the module that is prepared later (see `TorchExecutable`)."""
        super().__init__(model, dtype=dtype, device=device, layout=layout)
        self._prepared: dict[int, Run] = {}  # batch size → prepared for it

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits on the CPU; fewer images than a prepared batch are padded to it."""
        n = len(images)
        size = min((size for size in self._prepared if size >= n), default=n)
        padding = images.new_zeros(size - n, *images.shape[1:])  # images do not see each other in evaluation
        return super().predict(torch.cat([images, padding]))[:n]  # (N, classes)

    def _prepare_for(self, on_device: Tensor) -> Run:
        n = len(on_device)
        if n not in self._prepared:
            self._prepared[n] = self._prepare(on_device)
        return self._prepared[n]

    @abstractmethod
    def _prepare(self, on_device: Tensor) -> Run:
        """Compile or capture the model for batches like this one, (N, C, H, W) on the device."""


class TorchBackend(Backend):
    """A backend that runs a copy of the model, in torch."""

    @abstractmethod
    def make_executable(
        self, model: nn.Module, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> TorchExecutable:
        """Return what runs a model that lies on the device, in the type and layout, already."""

    def load(
        self,
        model: nn.Module,
        example: Tensor,
        *,
        precision: str,
        device: str,
        threads: int,
        calibration: Tensor | None = None,
    ) -> Executable:
        """Copy the model to the device and precision (see `Backend.load`); nothing is compiled yet."""
        set_torch_threads(threads)
        copied = copy_to(model, precision=precision, device=device)
        dtype = PRECISIONS[precision].dtype
        layout = choose_memory_format(
            model, tuple(example.shape[1:]), torch.channels_last, torch.device(device), dtype=dtype
        )
        lay_out(copied, layout)
        return self.make_executable(copied, dtype, device, layout)


class Eager(TorchBackend):
    """PyTorch, eager."""

    name = "eager"
    precisions = ("fp32", "bf16", "fp16")
    shared_thread_pool = True

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Refuse fp16 on a CPU, which has no fast convolutions of that type."""
        if precision == "fp16" and not device.startswith("cuda"):
            return f"eager runs fp16 on CUDA only, not on {device}. Use fp32 or bf16."
        return None

    def make_executable(
        self, model: nn.Module, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> TorchExecutable:
        """Return the model as it is, kernel after kernel."""
        return TorchExecutable(model, dtype=dtype, device=device, layout=layout)


def copy_to(model: nn.Module, *, precision: str, device: str) -> nn.Module:
    """Return a copy of a model on a device, in evaluation mode, in a precision.

    Args:
        model: A network in float32 on the CPU; it stays as it is.
        precision: `fp32`, `bf16` or `fp16`.
        device: `cpu`, `cuda:0`, …
    """
    copied = copy_network(model).eval().requires_grad_(False)
    return convert(copied, torch.device(device), PRECISIONS[precision].dtype)

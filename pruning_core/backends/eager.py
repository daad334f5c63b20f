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
from pruning_core.models.inputs import (
    Inputs,
    Outputs,
    count_rows,
    map_tensors,
    repeat_rows,
    run,
    take_rows,
    tensors_of,
)
from pruning_core.models.memory_format import choose_memory_format, convert, lay_out, name_of, to_type
from pruning_core.system.hardware import set_torch_threads
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

Run = Callable[[Inputs], Outputs]
"""Maps inputs on the device to outputs on the device, and does not wait for them."""


class TorchExecutable(Executable):
    """A module that maps torch tensors to torch tensors; a subclass may compile or capture it first."""

    def __init__(
        self, model: nn.Module, *, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> None:
        """Hold the module.

        Args:
            model: Maps images (N, C, H, W) of `dtype` on `device` to logits (N, classes), or other inputs
                to other outputs.
            dtype: Type of numbers in inputs and weights.
            device: Device of inputs and weights.
            layout: How they lie in memory.
        """
        self.memory_format = name_of(layout)
        self._layout = layout
        self._model = model
        self._dtype = dtype
        self._device = torch.device(device)

    def predict(self, inputs: Inputs) -> Outputs:
        """Return float32 outputs on the CPU (see `Executable.predict`).

        Raises:
            BackendError: If the model cannot run, for example not in this precision.
        """
        on_device = self._lay_out(inputs)
        try:
            run_prepared = self._prepare_for(on_device)
            with torch.inference_mode():
                outputs = run_prepared(on_device)
        except BackendError:
            raise
        except BaseException as error:
            raise_if_not_theirs(error)
            precision = str(self._dtype).removeprefix("torch.")
            what = f"this model on {count_rows(inputs)} images in {precision}"
            raise BackendError(f"PyTorch cannot run {what}: {one_line(error)}") from error
        # Outside of inference mode, so that it is an ordinary tensor that a caller may change.
        return to_type(outputs, torch.device("cpu"), torch.float32)

    def bind(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Return a callable to be timed (see `Executable.bind`)."""
        launch, device = self._bind_launch(inputs), self._device

        def launch_and_wait() -> Outputs:
            outputs = launch()
            torch.accelerator.synchronize(device)
            return outputs

        return launch if device.type == "cpu" else launch_and_wait

    def time_on_device(self, inputs: Inputs) -> DeviceTime | None:
        """Time the model by CUDA events (see `Executable.time_on_device`)."""
        if self._device.type != "cuda":
            return None
        return time_back_to_back(self._bind_launch(inputs), self._device)

    def peak_memory_bytes(self, inputs: Inputs) -> int | None:
        """Count what PyTorch allocates on CUDA (see `Executable.peak_memory_bytes`)."""
        if self._device.type != "cuda":
            return None
        on_device = self._lay_out(inputs)
        run_prepared = self._prepare_for(on_device)

        def run_once() -> None:
            with torch.inference_mode():
                run_prepared(on_device)

        weights = [*self._model.parameters(), *self._model.buffers()]
        held = sum(tensor.nbytes for tensor in [*weights, *tensors_of(on_device)])
        return held + measure_peak_bytes(run_once, self._device)

    def _prepare_for(self, on_device: Inputs) -> Run:
        """Return what runs a batch of this size; a subclass may compile here, and keeps what it compiled."""
        model = self._model
        # A single tensor is what is timed most: nothing of ours stands before the module then.
        return model if isinstance(on_device, Tensor) else lambda inputs: run(model, inputs)

    def _bind_launch(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Return a callable that launches one run on these inputs and does not wait for it."""
        on_device = self._lay_out(inputs)
        run_prepared = self._prepare_for(on_device)

        def launch() -> Outputs:
            with torch.inference_mode():
                return run_prepared(on_device)

        return launch

    def _lay_out(self, inputs: Inputs) -> Inputs:
        # Always a copy, as a caller may change its inputs after `bind`.
        def copied(tensor: Tensor) -> Tensor:
            layout = self._layout if tensor.dim() == 4 else torch.contiguous_format
            dtype = self._dtype if tensor.is_floating_point() else tensor.dtype
            return tensor.to(self._device, dtype, copy=True, memory_format=layout)

        return map_tensors(copied, inputs)


class PerBatchExecutable(TorchExecutable):
    """A module that is prepared once for each batch size; smaller batches are padded to one of them."""

    def __init__(
        self, model: nn.Module, *, dtype: torch.dtype, device: str, layout: torch.memory_format
    ) -> None:
        """Hold the module that is prepared later (see `TorchExecutable`)."""
        super().__init__(model, dtype=dtype, device=device, layout=layout)
        self._prepared: dict[int, Run] = {}  # batch size → prepared for it

    def predict(self, inputs: Inputs) -> Outputs:
        """Return float32 outputs on the CPU; fewer examples than a prepared batch are repeated to fill it."""
        n = count_rows(inputs)
        size = min((size for size in self._prepared if size >= n), default=n)
        padded = repeat_rows(inputs, size)  # examples do not see each other in evaluation
        return take_rows(super().predict(padded), slice(0, n))

    def _prepare_for(self, on_device: Inputs) -> Run:
        n = count_rows(on_device)
        if n not in self._prepared:
            self._prepared[n] = self._prepare(on_device)
        return self._prepared[n]

    @abstractmethod
    def _prepare(self, on_device: Inputs) -> Run:
        """Compile or capture the model for batches like this one, on the device."""


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
        example: Inputs,
        *,
        precision: str,
        device: str,
        threads: int,
        calibration: Inputs = None,
    ) -> Executable:
        """Copy the model to the device and precision (see `Backend.load`); nothing is compiled yet."""
        set_torch_threads(threads)
        copied = copy_to(model, precision=precision, device=device)
        dtype = PRECISIONS[precision].dtype
        layout = choose_memory_format(model, example, torch.channels_last, torch.device(device), dtype=dtype)
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

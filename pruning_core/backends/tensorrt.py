"""TensorRT, through ONNX Runtime's provider of that name.

TensorRT builds an engine by timing kernels, which takes seconds to minutes, for one batch size at a time: an
engine for any size would be tuned for one of them. fp16 and int8 are allowed where they are faster; the other
layers run in float32 (with TensorFloat-32).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pruning_core.backends.base import Backend, Executable, missing_packages
from pruning_core.backends.onnx_export import check_export, export_onnx
from pruning_core.backends.onnx_names import ONE_TENSOR, OnnxNames, onnx_names
from pruning_core.backends.onnxruntime import (
    SESSION_ENTRIES,
    bind_session,
    missing_provider,
    open_session,
    session_options,
)
from pruning_core.backends.quantization import check_quantized, quantize, require_calibration
from pruning_core.errors import BackendError, first_line
from pruning_core.models.inputs import Inputs, Outputs, count_rows, repeat_rows, take_rows

PROVIDER = "TensorrtExecutionProvider"

NO_FALLBACK = {"session.disable_cpu_ep_fallback": "1"}
"""Without it, what TensorRT does not support would run on the CPU under TensorRT's name."""

# precision → (the provider's option that allows it, largest relative error of a logit)
PRECISIONS: dict[str, tuple[dict[str, bool], float]] = {
    "fp32": ({}, 0.01),
    "fp16": ({"trt_fp16_enable": True}, 0.05),
    "int8": ({"trt_int8_enable": True}, 0.0),  # `check_quantized` compares its logits
}


class TensorRt(Backend):
    """TensorRT."""

    name = "tensorrt"
    precisions = tuple(PRECISIONS)

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Look for CUDA, for the packages, and for a build of ONNX Runtime with that provider."""
        if not device.startswith("cuda"):
            return f"TensorRT runs on CUDA only, not on {device}. Use --devices cuda."
        return missing_packages("onnx", "onnxruntime") or missing_provider(PROVIDER)

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
        """Export the model; engines are built later, by batch size (see `Backend.load`)."""
        exported, names = export_onnx(model, example), onnx_names(model, example)
        if precision == "int8":
            images = require_calibration(calibration, example)
            quantized = quantize(exported, images, names=names, symmetric=True)
            executable = TensorRtExecutable(quantized, precision, device, threads, names)
            check_quantized(executable, model, images)
        else:
            executable = TensorRtExecutable(exported, precision, device, threads, names)
            check_export(executable, model, example, tolerance=PRECISIONS[precision][1])
        return executable


class TensorRtExecutable(Executable):
    """One session with one engine for each batch size; smaller batches are padded to one of them."""

    memory_format = "backend"

    def __init__(
        self,
        onnx_bytes: bytes,
        precision: str,
        device: str,
        threads: int,
        names: OnnxNames = ONE_TENSOR,
    ) -> None:
        """Hold the model; each session is opened when its batch size is first asked for.

        Args:
            onnx_bytes: A model in float32, or quantized with `symmetric`.
            precision: One of `PRECISIONS`.
            device: `cuda` or `cuda:N`.
            threads: CPU threads to use.
            names: Of inputs and outputs.
        """
        self._names = names
        self._onnx_bytes = onnx_bytes
        self._precision = precision
        self._device = device
        self._threads = threads
        self._sessions: dict[int, Any] = {}  # batch size → session

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return what session and provider were told (see `Executable.options`)."""
        allowed = {name: str(value) for name, value in PRECISIONS[self._precision][0].items()}
        return {**SESSION_ENTRIES, **NO_FALLBACK, **allowed}

    def predict(self, inputs: Inputs) -> Outputs:
        """Return float32 outputs on the CPU; fewer examples than an engine takes are repeated to fill it."""
        n = count_rows(inputs)
        size = min((size for size in self._sessions if size >= n), default=n)
        padded = repeat_rows(inputs, size)  # examples do not see each other in evaluation
        arrays = {name: tensor.numpy() for name, tensor in self._names.feeds(padded).items()}
        outputs = self._session_for(size).run(list(self._names.outputs), arrays)
        whole = self._names.restore([torch.from_numpy(output).clone() for output in outputs])
        return take_rows(whole, slice(0, n))

    def bind(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Build an engine for this batch size and return a callable to be timed (see `Executable.bind`)."""
        return bind_session(self._session_for(count_rows(inputs)), inputs, self._device, self._names)

    def _session_for(self, n: int) -> Any:
        if n not in self._sessions:
            self._sessions[n] = _open_for_batch(
                self._onnx_bytes, n, self._precision, self._device, self._threads
            )
        return self._sessions[n]


def _open_for_batch(onnx_bytes: bytes, n: int, precision: str, device: str, threads: int) -> Any:
    options = session_options(threads)
    options.add_free_dimension_override_by_name("batch", n)  # as `export_onnx` names it
    for name, value in NO_FALLBACK.items():
        options.add_session_config_entry(name, value)
    device_id = int(device.partition(":")[2] or 0)
    try:
        return open_session(
            onnx_bytes, options, PROVIDER, {"device_id": device_id, **PRECISIONS[precision][0]}
        )
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(
            f"TensorRT cannot take the whole of this model: {first_line(error)}. Check that its libraries "
            "are installed (pip install tensorrt), or use onnxruntime."
        ) from error

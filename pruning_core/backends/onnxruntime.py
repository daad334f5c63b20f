"""ONNX Runtime, on the CPU or on CUDA.

Its threads spin after a call, as they do in a program that ships it, but for a shorter time than by default:
the paired protocol waits until they are idle before it times another model. Evidence: `README.md`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pruning_core.backends.base import Backend, Executable, missing_packages
from pruning_core.backends.onnx_export import check_export, export_onnx
from pruning_core.backends.onnx_names import ONE_TENSOR, OnnxNames, onnx_names
from pruning_core.backends.quantization import check_quantized, quantize, require_calibration
from pruning_core.errors import BackendError
from pruning_core.models.inputs import Inputs, Outputs

# Operators of an optimized ONNX model: quantized convolutions and linear layers, and float convolutions.
INT8_CONVOLUTIONS = {"QLinearConv", "ConvInteger"}
INT8_LINEAR = {"QGemm", "QLinearMatMul", "MatMulIntegerToFloat"}
FLOAT_CONVOLUTIONS = {"Conv", "FusedConv", "NhwcFusedConv"}

SPIN_US = 2000
"""How long a thread spins after its work, in microseconds.

Longer than the pauses within a call and between calls, so that a call takes as long as it does by default;
short for the backend that is measured next, which waits for these threads. Evidence: `README.md`. A release
that does not know the option ignores it.
"""

SESSION_ENTRIES = {"session.intra_op.spin_duration_us": str(SPIN_US)}
"""Options of every session of ours that differ from ONNX Runtime's defaults and bear on speed."""


class OnnxRuntime(Backend):
    """ONNX Runtime."""

    name = "onnxruntime"
    precisions = ("fp32", "int8")

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Look for the packages and, on CUDA, for a build with that provider.

        A CPU without int8 instructions runs int8 too, at the speed that is measured.
        """
        kind = device.partition(":")[0]
        if kind not in ("cpu", "cuda"):
            return f"ONNX Runtime runs on cpu and cuda, not on {device}. Use --devices cpu."
        if kind == "cuda" and precision == "int8":
            return "ONNX Runtime has int8 convolutions on cpu only. Use tensorrt:int8."
        if reason := missing_packages("onnx", "onnxruntime"):
            return reason
        if kind == "cuda":
            return missing_provider("CUDAExecutionProvider")
        return None

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
        """Export the model and open a session on it (see `Backend.load`)."""
        exported, names = export_onnx(model, example), onnx_names(model, example)
        executable = OnnxRuntimeExecutable(_open_session(exported, device, threads), device, names)
        check_export(executable, model, example, tolerance=0.01)  # int8 too: a wrong export is no rounding
        if precision == "int8":
            images = require_calibration(calibration, example)
            executable = OnnxRuntimeExecutable(
                _open_int8(quantize(exported, images, names=names), threads), device, names
            )
            check_quantized(executable, model, images)
        return executable


class OnnxRuntimeExecutable(Executable):
    """A session of ONNX Runtime."""

    memory_format = "backend"

    def __init__(self, session: Any, device: str, names: OnnxNames = ONE_TENSOR) -> None:
        """Hold an open `onnxruntime.InferenceSession` on `device`."""
        self._session = session
        self._names = names
        self._device = device

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return what the session was told (see `Executable.options`)."""
        return dict(SESSION_ENTRIES)

    def predict(self, inputs: Inputs) -> Outputs:
        """Return float32 outputs on the CPU (see `Executable.predict`)."""
        names = self._names
        return names.restore(
            [torch.from_numpy(o) for o in self._session.run(list(names.outputs), _as_arrays(inputs, names))]
        )

    def bind(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Return a callable to be timed (see `Executable.bind`)."""
        return bind_session(self._session, inputs, self._device, self._names)


def bind_session(
    session: Any, inputs: Inputs, device: str, names: OnnxNames = ONE_TENSOR
) -> Callable[[], Outputs]:
    """Lay inputs out on a device and return a callable that runs a session on them (see `Executable.bind`).

    Args:
        session: An open `onnxruntime.InferenceSession` on `device`.
        inputs: What the model takes, on the CPU: normalised float32 images, (N, C, H, W), say.
        device: `cpu`, `cuda`, or `cuda:N`.
        names: Of inputs and outputs.
    """
    import onnxruntime

    arrays = _as_arrays(inputs, names)
    wanted = list(names.outputs)
    kind, _, number = device.partition(":")
    if kind == "cpu":

        def run_once() -> Outputs:
            return names.restore([torch.from_numpy(output) for output in session.run(wanted, arrays)])

        return run_once

    binding = session.io_binding()
    for name, array in arrays.items():
        binding.bind_ortvalue_input(
            name, onnxruntime.OrtValue.ortvalue_from_numpy(array, kind, int(number or 0))
        )
    for name in wanted:
        binding.bind_output(name, "cpu")  # fetching them is how we know they are ready

    def run_once_and_fetch() -> Outputs:
        session.run_with_iobinding(binding)
        return names.restore([torch.from_numpy(output.numpy()) for output in binding.get_outputs()])

    return run_once_and_fetch


def missing_provider(provider: str) -> str | None:
    """Return None if this build of ONNX Runtime has a provider, else what to install."""
    import onnxruntime

    if provider in onnxruntime.get_available_providers():
        return None
    return f"this build of ONNX Runtime has no {provider}. Install with: pip install onnxruntime-gpu"


def session_options(threads: int) -> Any:
    """Return the `onnxruntime.SessionOptions` of every session of ours.

    Args:
        threads: CPU threads of one session, at least 1.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # of no effect: operators run one after the other
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only
    for name, value in SESSION_ENTRIES.items():
        options.add_session_config_entry(name, value)
    return options


def open_session(onnx_bytes: bytes, options: Any, provider: str, provider_options: dict[str, Any]) -> Any:
    """Open a session on one provider; ONNX Runtime may not fall back on another.

    Args:
        onnx_bytes: A model.
        options: What `session_options` returned.
        provider: For example `CPUExecutionProvider`.
        provider_options: Options of the provider.

    Returns:
        An open `onnxruntime.InferenceSession`.

    Raises:
        BackendError: If the provider cannot start.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        onnx_bytes,
        options,
        providers=[(provider, provider_options)],
        enable_fallback=0,  # or it prints a line and changes the provider, in a later call too
    )
    # Even so, a provider that cannot start may be left out with no more than a log line.
    if session.get_providers()[0] != provider:
        raise BackendError(
            f"ONNX Runtime could not start {provider} and would run on the CPU: check CUDA and cuDNN"
        )
    return session


def _open_session(onnx_bytes: bytes, device: str, threads: int) -> Any:
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return open_session(onnx_bytes, session_options(threads), "CPUExecutionProvider", {})
    return open_session(
        onnx_bytes, session_options(threads), "CUDAExecutionProvider", {"device_id": int(number or 0)}
    )


def _open_int8(onnx_bytes: bytes, threads: int) -> Any:
    """Open a session on the CPU and check that convolutions run in int8 (without any, linear layers)."""
    import onnx

    options = session_options(threads)
    with tempfile.TemporaryDirectory(prefix="pruning-bench-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        session = open_session(onnx_bytes, options, "CPUExecutionProvider", {})
        kernels = {node.op_type for node in onnx.load(optimized).graph.node}
    wanted = INT8_CONVOLUTIONS if kernels & FLOAT_CONVOLUTIONS else INT8_CONVOLUTIONS | INT8_LINEAR
    if not kernels & wanted:
        raise BackendError(
            "ONNX Runtime was asked for int8 and runs no convolution of this model in int8. Use fp32."
        )
    return session


def _as_arrays(inputs: Inputs, names: OnnxNames) -> dict[str, np.ndarray[Any, Any]]:
    # Always copies, as a caller may change its inputs after `bind`.
    return {
        name: tensor.clone(memory_format=torch.contiguous_format).numpy()
        for name, tensor in names.feeds(inputs).items()
    }

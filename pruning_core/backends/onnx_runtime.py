"""ONNX Runtime, on the CPU or on CUDA.

Its threads keep spinning for a while after a call, as they do in a program that ships it; the paired
protocol lets them come to rest before it times something else. Not for: writing ONNX (`onnx_export.py`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruning_core.backends.base import Backend, Executable, missing_packages
from pruning_core.backends.onnx_export import INPUT, OUTPUT, check_answers, export_onnx
from pruning_core.errors import BackendError


class OnnxRuntime(Backend):
    """ONNX Runtime."""

    name = "onnxruntime"
    precisions = ("fp32",)

    def why_unavailable(self, precision: str, device: str) -> str | None:
        """Look for the packages and, on CUDA, for a build with that provider."""
        kind = device.partition(":")[0]
        if kind not in ("cpu", "cuda"):
            return f"ONNX Runtime runs on cpu and cuda, not on {device}."
        if reason := missing_packages("onnx", "onnxruntime"):
            return reason
        if kind == "cuda":
            import onnxruntime

            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                return "this build of ONNX Runtime has no CUDA. Install with: pip install onnxruntime-gpu"
        return None

    def load(
        self, model: nn.Module, example: Tensor, *, precision: str, device: str, threads: int
    ) -> Executable:
        """Export the model and open a session on it (see `Backend.load`)."""
        session = _open_session(export_onnx(model, example), device, threads)
        executable = OnnxRuntimeExecutable(session, device)
        check_answers(executable, model, example, tolerance=0.01)
        return executable


class OnnxRuntimeExecutable(Executable):
    """A session of ONNX Runtime."""

    memory_format = "backend"

    def __init__(self, session: Any, device: str) -> None:
        """Hold an open `onnxruntime.InferenceSession` on `device`."""
        self._session = session
        kind, _, number = device.partition(":")
        self._kind, self._device_id = kind, int(number or 0)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits on the CPU (see `Executable.predict`)."""
        logits: np.ndarray[Any, Any] = self._session.run([OUTPUT], {INPUT: _as_array(images)})[0]
        return torch.from_numpy(logits)

    def bind(self, images: Tensor) -> Callable[[], Tensor]:
        """Return a callable to be timed (see `Executable.bind`)."""
        import onnxruntime

        session, array = self._session, _as_array(images)
        if self._kind == "cpu":

            def run_once() -> Tensor:
                return torch.from_numpy(session.run([OUTPUT], {INPUT: array})[0])

            return run_once

        binding = session.io_binding()
        binding.bind_ortvalue_input(
            INPUT, onnxruntime.OrtValue.ortvalue_from_numpy(array, self._kind, self._device_id)
        )
        binding.bind_output(OUTPUT, "cpu")  # a few bytes; fetching them is how we know they are ready

        def run_once_and_fetch() -> Tensor:
            session.run_with_iobinding(binding)
            return torch.from_numpy(binding.get_outputs()[0].numpy())

        return run_once_and_fetch


def _open_session(onnx_bytes: bytes, device: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only
    kind, _, number = device.partition(":")
    wanted = "CPUExecutionProvider" if kind == "cpu" else "CUDAExecutionProvider"
    provider_options = {} if kind == "cpu" else {"device_id": int(number or 0)}
    session = onnxruntime.InferenceSession(onnx_bytes, options, providers=[(wanted, provider_options)])
    # A provider that cannot start is left out with a log line, and the CPU does the work.
    if session.get_providers()[0] != wanted:
        raise BackendError(
            f"ONNX Runtime could not start {wanted} and would run on the CPU: check CUDA and cuDNN"
        )
    return session


def _as_array(images: Tensor) -> np.ndarray[Any, Any]:
    # A copy always: a caller may change its images after `bind`.
    array: np.ndarray[Any, Any] = images.clone(memory_format=torch.contiguous_format).numpy()  # (N, C, H, W)
    return array

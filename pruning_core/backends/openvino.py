"""OpenVINO, on the CPU.

By default OpenVINO runs a float32 model in bfloat16 on a CPU that has such instructions. So it is always told
the precision, and the one it runs is checked. Options and evidence: `README.md`.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from pruning_core.backends.base import Backend, Executable, missing_packages
from pruning_core.backends.onnx_export import check_export, export_onnx
from pruning_core.backends.onnx_names import ONE_TENSOR, OnnxNames, onnx_names
from pruning_core.backends.quantization import check_quantized, quantize, require_calibration
from pruning_core.errors import BackendError
from pruning_core.models.inputs import Inputs, Outputs, count_rows
from pruning_core.system.hardware import cpu_bf16

# precision → (OpenVINO's hint, the name of the type it must then report, largest relative error of a logit).
# What is not quantized in an int8 model runs in float32; `check_quantized` compares its logits.
PRECISIONS = {"fp32": ("f32", "f32", 0.01), "bf16": ("bf16", "bf16", 0.25), "int8": ("f32", "f32", 0.0)}

MIN_IMAGES_PER_STREAM = 16
"""A batch is split between streams of fewer threads each where each stream gets at least so many images.

Streams wait for each other once a batch, threads of one stream after every layer. Evidence: `README.md`.
"""


class OpenVino(Backend):
    """OpenVINO."""

    name = "openvino"
    precisions = tuple(PRECISIONS)
    shared_thread_pool = True

    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Look for the packages and, for bf16, for a CPU that has it.

        A CPU without int8 instructions runs int8 too, at the speed that is measured.
        """
        if device != "cpu":
            return f"our OpenVINO backend runs on cpu only, not on {device}. Use --devices cpu."
        if precision == "bf16" and cpu_bf16() == "none":
            return "this CPU has no bfloat16 instructions; OpenVINO would run fp32 instead. Use fp32."
        if precision == "int8":
            return missing_packages("onnx", "openvino", "onnxruntime")  # which does the quantizing
        return missing_packages("onnx", "openvino")

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
        """Export the model and compile it (see `Backend.load`)."""
        exported, names = export_onnx(model, example), onnx_names(model, example)
        first = "fp32" if precision == "int8" else precision  # a wrong export is no rounding
        executable = OpenVinoExecutable(exported, first, threads, names)
        check_export(executable, model, example, tolerance=PRECISIONS[first][2])
        if precision == "int8":
            images = require_calibration(calibration, example)
            executable = OpenVinoExecutable(
                quantize(exported, images, names=names), precision, threads, names
            )
            check_quantized(executable, model, images)
        return executable


class OpenVinoExecutable(Executable):
    """A model that OpenVINO compiled: once for any batch size, and once for each batch size that is timed.

    A fixed batch size may be faster (`README.md`).
    """

    memory_format = "backend"

    def __init__(
        self, onnx_bytes: bytes, precision: str, threads: int, names: OnnxNames = ONE_TENSOR
    ) -> None:
        """Compile a model for any batch size.

        Args:
            onnx_bytes: What `export_onnx` returned.
            precision: One of `PRECISIONS`.
            threads: CPU threads to use.
            names: Of inputs and outputs.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of OpenVINO's own imports
            import openvino

        self._openvino = openvino
        self._core = openvino.Core()
        self._model = self._core.read_model(onnx_bytes)
        self._precision = precision
        self._threads = threads
        self._names = names
        self._any_batch = self._compile(self._model)
        self._by_batch: dict[int, Any] = {}  # batch size → compiled for it alone, or for any

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return what OpenVINO was told (see `Executable.options`).

        All of it, since its defaults depend on the CPU (precision) and on the release (hint).
        """
        if batch_size is None:
            return self._config(1)
        told = {"dynamic_batch": "true"} if _takes_any(self._by_batch.get(batch_size)) else {}
        return {**self._config(self.streams_for(batch_size)), **told}

    def predict(self, inputs: Inputs) -> Outputs:
        """Return float32 outputs on the CPU (see `Executable.predict`)."""
        request = self._any_batch.create_infer_request()
        for name, tensor in self._names.feeds(inputs).items():
            # A copy: a tensor with shared_memory=True does not keep alive the array that it shares.
            request.set_tensor(name, self._openvino.Tensor(tensor.numpy(), shared_memory=False))
        request.infer()
        outputs = [request.get_output_tensor(number) for number, _ in enumerate(self._names.outputs)]
        # Copies, as the request is freed.
        return self._names.restore([torch.from_numpy(np.array(output.data)) for output in outputs])

    def bind(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Compile for this batch size and return a callable to be timed (see `Executable.bind`)."""
        n, requests = count_rows(inputs), self.requests_for(inputs)
        streams = len(requests)
        if _takes_any(self.compiled_for(n)):
            requests[0].infer()  # before that its outputs have no shape
        outputs = []
        for number, _ in enumerate(self._names.outputs):
            its = requests[0].get_output_tensor(number)
            whole = torch.from_numpy(np.empty((n, *its.shape[1:]), its.data.dtype))  # (N, classes)
            for request, its_part in zip(requests, whole.chunk(streams), strict=True):
                # Each call overwrites it; `whole`, which the callable holds, keeps the memory alive.
                request.set_output_tensor(number, self._openvino.Tensor(its_part.numpy(), shared_memory=True))
            outputs.append(whole)
        result = self._names.restore(outputs)

        def run_streams() -> Outputs:
            for request in requests:
                request.start_async()
            for request in requests:
                request.wait()
            return result

        def run_once() -> Outputs:
            requests[0].infer()
            return result

        return run_streams if streams > 1 else run_once

    def requests_for(self, inputs: Inputs) -> list[Any]:
        """Return the requests that share a batch, a stream each, with its examples laid into them."""
        n = count_rows(inputs)
        streams = self.streams_for(n)
        requests = [self.compiled_for(n).create_infer_request() for _ in range(streams)]
        for name, tensor in self._names.feeds(inputs).items():
            for request, its_rows in zip(requests, tensor.chunk(streams), strict=True):
                held = request.get_tensor(name)
                held.shape = list(its_rows.shape)  # (N / streams, C, H, W)
                held.data[:] = its_rows.numpy()
        return requests

    def streams_for(self, n: int) -> int:
        """Return how many streams share a batch of `n` images in equal parts of at least the minimum."""
        of_threads = [s for s in range(1, self._threads + 1) if self._threads % s == 0]
        return max([s for s in of_threads if n % s == 0 and n // s >= MIN_IMAGES_PER_STREAM], default=1)

    def compiled_for(self, n: int) -> Any:
        """Return the model compiled for a stream's share of a batch of `n` images.

        Where OpenVINO cannot, for any batch size: without AVX-512 it fuses layers that it then has no kernel
        for, if the batch size is fixed and large (`README.md`).
        """
        if n not in self._by_batch:
            streams = self.streams_for(n)
            fixed = self._model.clone()
            shapes = {name: fixed.input(name).get_partial_shape() for name in self._names.inputs}
            for shape in shapes.values():
                shape[0] = n // streams
            fixed.reshape(shapes)
            try:
                self._by_batch[n] = self._compile(fixed, streams)
            except BackendError as error:
                try:
                    self._by_batch[n] = self._compile(self._model, streams)
                except BackendError:
                    raise error from None
        return self._by_batch[n]

    def _config(self, streams: int) -> dict[str, str]:
        return {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self._precision][0],
            **({"NUM_STREAMS": str(streams)} if streams > 1 else {"PERFORMANCE_HINT": "LATENCY"}),
        }

    def _compile(self, model: Any, streams: int = 1) -> Any:
        hint, type_name, _ = PRECISIONS[self._precision]
        config = {**self._config(streams), "INFERENCE_NUM_THREADS": self._threads}
        try:
            compiled = self._core.compile_model(model, "CPU", config)
        except RuntimeError as error:  # its first lines are files of OpenVINO's own; the last one says why
            reason = str(error).strip().splitlines()[-1]
            size = next(iter(model.inputs)).get_partial_shape()[0]
            batch = "any batch size" if size.is_dynamic else f"batches of {size} on each stream"
            raise BackendError(f"OpenVINO cannot compile this model for {batch}: {reason}") from error
        runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if runs_in != type_name:
            raise BackendError(f"OpenVINO was asked for {hint} and runs {runs_in} on this CPU")
        if self._precision == "int8" and not _runs_int8(compiled):
            raise BackendError(
                "OpenVINO was asked for int8 and runs no convolution of this model in int8. Use fp32."
            )
        return compiled


def _takes_any(compiled: Any) -> bool:
    """Return whether a model was compiled for any batch size; None was not."""
    return compiled is not None and bool(compiled.inputs[0].get_partial_shape()[0].is_dynamic)


def _runs_int8(compiled: Any) -> bool:
    """Return whether convolutions run in int8, or linear layers where there are none.

    OpenVINO runs a layer in float32 where it has no int8 kernel for it, and does not report that.
    """
    precisions: dict[str, set[str]] = {}  # kind of layer → types that such layers run in
    for op in compiled.get_runtime_model().get_ops():
        info = op.get_rt_info()  # a mapping that has neither `get` nor `items`
        precisions.setdefault(info["layerType"].value, set()).add(info["runtimePrecision"].value)
    found = [precisions[kind] for kind in ("Convolution", "GroupConvolution") if kind in precisions]
    return bool({"i8", "u8"} & set().union(*(found or [precisions.get("FullyConnected", set())])))

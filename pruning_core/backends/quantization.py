"""float32 ONNX → int8 ONNX, by static quantization with ranges of activations from training images.

Weights have one scale for each output channel, activations one for each tensor. They are written as pairs of
QuantizeLinear and DequantizeLinear, which each runtime turns into int8 kernels.

The range of a tensor is its minimum and maximum over training images (never test images), and every operator
that can be int8 is. What else was tried: `README.md`, "Quantization".
"""

import logging
import platform
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from pruning_core.backends.base import Executable
from pruning_core.backends.onnx_export import relative_difference
from pruning_core.backends.onnx_names import ONE_TENSOR, OnnxNames
from pruning_core.errors import BackendError, OptionError, first_line
from pruning_core.models.inputs import Inputs, count_rows, take_rows, tensors_of
from pruning_core.system.hardware import cpu_flags

CALIBRATION_BATCH = 32
"""Images that the quantizer runs at once."""

MAX_INT8_DIFFERENCE = 0.5
"""Largest difference of an int8 logit on calibration images, as a fraction of the largest logit.

It is wide since some networks do lose accuracy in int8, which is measured later; a wrong export was found
before, in float32. A runtime that computes something else is off by more than the largest logit.
"""

# The int8 multiply-add instructions of x86 that cannot overflow, as /proc/cpuinfo names them.
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def require_calibration(calibration: Inputs, example: Inputs) -> Inputs:
    """Return calibration inputs that fit a model.

    Args:
        calibration: Images, or None.
        example: What the model takes, of one example.

    Raises:
        OptionError: If there are none, or they have another shape or type than the example.
    """
    if calibration is None or not count_rows(calibration):
        raise OptionError("int8 takes its ranges from training images: pass some as `calibration`")
    got, wanted = (
        ", ".join(f"{tuple(x.shape[1:])} {x.dtype}" for x in tensors_of(given))
        for given in (calibration, example)
    )
    if got != wanted:
        raise OptionError(f"calibration images are {got}; the model takes {wanted}")
    return calibration


def quantize(
    onnx_bytes: bytes, calibration: Inputs, *, names: OnnxNames = ONE_TENSOR, symmetric: bool = False
) -> bytes:
    """Return a float32 ONNX model quantized to int8; on one machine, the same input gives the same bytes.

    It prints nothing and takes some seconds (`README.md`).

    Args:
        onnx_bytes: What `export_onnx` returned.
        calibration: Inputs of training examples on the CPU: normalised images, (N, C, H, W), say.
        names: Of its inputs and outputs.
        symmetric: Whether activations are signed with zero point 0, and biases stay in float32: the only form
            that TensorRT takes, and a slow one on a CPU (`README.md`).

    Raises:
        BackendError: If the model cannot be quantized.
    """
    reduce_range = not symmetric and needs_reduced_range(platform.machine(), cpu_flags())
    try:
        with _quiet(), tempfile.TemporaryDirectory(prefix="pruning-bench-") as folder:
            return _quantize_files(
                onnx_bytes, _Batches(calibration, names), Path(folder), symmetric, reduce_range
            )
    except Exception as error:
        raise BackendError(f"this model cannot be quantized to int8: {first_line(error)}") from error


def needs_reduced_range(machine: str, flags: frozenset[str]) -> bool:
    """Return whether weights need one bit less on a CPU, so that products do not overflow.

    An x86 CPU without VNNI instructions adds two products in an integer that saturates: logits would be
    wrong, not only coarse. What the smaller range costs: `README.md`. Source: the docstring of
    `onnxruntime.quantization.quantize_static`, "Choosing parameters for CPU inference".

    Args:
        machine: As `platform.machine()` names it.
        flags: As `/proc/cpuinfo` names them.
    """
    return machine.lower() in ("x86_64", "amd64") and not flags & INT8_FLAGS


def check_quantized(executable: Executable, model: nn.Module, calibration: Inputs) -> None:
    """Refuse an int8 model whose logits have nothing to do with those of the model it was made from.

    It is compared on calibration images, since random images may lie outside of the ranges.

    Args:
        executable: The int8 model, ready to run.
        model: The network in float32 on the CPU; it stays as it is.
        calibration: What the ranges were taken from.

    Raises:
        BackendError: If the logits differ by more than `MAX_INT8_DIFFERENCE`.
    """
    difference = relative_difference(executable, model, take_rows(calibration, slice(0, 8)))
    if difference > MAX_INT8_DIFFERENCE:
        raise BackendError(
            f"the int8 model does not answer as the model does (logits of training images differ by "
            f"{difference:.3g} of the largest). Use fp32 or bf16."
        )


def _quantize_files(
    onnx_bytes: bytes, batches: "_Batches", folder: Path, symmetric: bool, reduce_range: bool
) -> bytes:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    exported, folded, quantized = (folder / f"{name}.onnx" for name in ("exported", "folded", "quantized"))
    exported.write_bytes(onnx_bytes)
    quant_pre_process(exported, folded, skip_symbolic_shape=True)  # folds BatchNorm into convolutions
    # TensorRT takes weights as float32 with a pair of their own, and a pair for each reader of a tensor.
    for_tensorrt = {
        "ActivationSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "DedicatedQDQPair": True,
    }
    quantize_static(
        folded,
        quantized,
        batches,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options=for_tensorrt if symmetric else {},
    )
    return quantized.read_bytes()


class _Batches:
    """Calibration inputs, with the interface of ONNX Runtime's `CalibrationDataReader`."""

    def __init__(self, inputs: Inputs, names: OnnxNames) -> None:
        starts = range(0, count_rows(inputs), CALIBRATION_BATCH)
        self._names = names
        self._batches = iter([take_rows(inputs, slice(start, start + CALIBRATION_BATCH)) for start in starts])

    def __iter__(self) -> "_Batches":
        return self

    def __next__(self) -> dict[str, Any]:
        return {name: tensor.numpy() for name, tensor in self._names.feeds(next(self._batches)).items()}

    def get_next(self) -> dict[str, Any] | None:
        return next(self, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer from warning, from logging, and from installing a handler on the root logger."""
    root, handler, disabled = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)  # without any handler, `logging.warning` installs one that prints
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(handler)

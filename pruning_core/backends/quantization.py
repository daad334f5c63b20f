"""float32 ONNX → int8 ONNX, by static quantization: ranges of activations come from training images.

Weights have one scale for each output channel, activations one for each tensor. Pairs of QuantizeLinear
and DequantizeLinear say so in the file, and each runtime makes int8 kernels of them.

What we chose, on a CIFAR ResNet-18 trained on digits, 128 calibration images, ONNX Runtime and OpenVINO,
one thread of an AMD EPYC (Zen 4): logits of 360 test images differed from fp32 by at most 4 % of the largest
(by 11 % with 32 calibration images), and no answer changed. Entropy, percentile 99.999 and one scale for a
whole weight were neither better nor faster; percentile 99.99 was worse (9 %), and residual additions left
in float32 no better. So: ranges are minimum and maximum, and all that can be int8 is.

Not for: choosing the images (training images, never test images), or training with quantization.
"""

import logging
import platform
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pruning_core.backends.base import Executable, first_line_of
from pruning_core.backends.onnx_export import INPUT, compare_answers
from pruning_core.errors import BackendError, OptionError
from pruning_core.system.hardware import cpu_flags

CALIBRATION_BATCH = 32

TOLERANCE = 0.5
"""Largest difference of an int8 logit on calibration images, as a fraction of the largest logit.

A trained ResNet-18 differed by 0.01. Wide, as some networks do lose accuracy in int8: how much is what we
measure, and a wrong export has been told before, in float32. A runtime that computes something else answers
by chance, and is off by 1 and more.
"""

# The int8 multiply-add instructions of x86 that cannot overflow, as /proc/cpuinfo names them.
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def require_calibration(calibration: Tensor | None, example: Tensor) -> Tensor:
    """Return calibration images that fit a model.

    Args:
        calibration: What came.
        example: One image of the right size, (1, C, H, W).

    Raises:
        OptionError: If there are none, or they are not like the example.
    """
    if calibration is None or not len(calibration):
        raise OptionError("int8 takes its ranges from training images: pass some as `calibration`")
    if calibration.shape[1:] != example.shape[1:] or calibration.dtype != example.dtype:
        got, wanted = (f"{tuple(x.shape[1:])} {x.dtype}" for x in (calibration, example))
        raise OptionError(f"calibration images are {got}; the model takes {wanted}")
    return calibration


def quantize(onnx_bytes: bytes, calibration: Tensor, *, symmetric: bool = False) -> bytes:
    """Return a float32 ONNX model quantized to int8; on one machine, the same input gives the same bytes.

    It takes about 5 s on one core for a ResNet-18 and 128 images, and is silent.

    Args:
        onnx_bytes: What `export_onnx` returned.
        calibration: Normalised float32 training images on the CPU, (N, C, H, W).
        symmetric: Whether 0 is in the middle of activations, and biases stay in float32. TensorRT knows
            nothing else; on a CPU, ONNX Runtime took three times as long as with unsigned activations.

    Raises:
        BackendError: If the model cannot be quantized.
    """
    reduce_range = not symmetric and needs_reduced_range(platform.machine(), cpu_flags())
    try:
        with _quiet(), tempfile.TemporaryDirectory(prefix="pruning-bench-") as folder:
            return _quantize_files(onnx_bytes, calibration, Path(folder), symmetric, reduce_range)
    except Exception as error:
        raise BackendError(f"this model cannot be quantized to int8: {first_line_of(error)}") from error


def needs_reduced_range(machine: str, flags: frozenset[str]) -> bool:
    """Tell whether 8 bits of weight would overflow on a CPU.

    An x86 CPU without VNNI adds two products of 8 bits in 16 bits, which saturate: answers would be wrong
    and not only coarse. 7 bits for the weights avoid that, at a small price (rms error of a logit 0.0053
    instead of 0.0040 of the largest, one answer of 360, on the ResNet-18 above). Source: the docstring of
    `onnxruntime.quantization.quantize_static`, "Choosing parameters for CPU inference".

    Args:
        machine: As `platform.machine()` names it.
        flags: As `/proc/cpuinfo` names them.
    """
    return machine.lower() in ("x86_64", "amd64") and not flags & INT8_FLAGS


def check_quantized(executable: Executable, model: nn.Module, calibration: Tensor) -> None:
    """Refuse an int8 model that has nothing to do with the model it was made of.

    On calibration images: ranges hold for those, and random ones may lie outside (logits of the ResNet-18
    above differed by 68 % there).

    Raises:
        BackendError: If it answers otherwise.
    """
    difference = compare_answers(executable, model, calibration[:8])
    if difference > TOLERANCE:
        raise BackendError(
            f"the int8 model does not answer as the model does (logits of training images differ by "
            f"{difference:.3g} of the largest). Use fp32 or bf16."
        )


def _quantize_files(
    onnx_bytes: bytes, calibration: Tensor, folder: Path, symmetric: bool, reduce_range: bool
) -> bytes:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    exported, folded, quantized = (folder / f"{name}.onnx" for name in ("exported", "folded", "quantized"))
    exported.write_bytes(onnx_bytes)
    quant_pre_process(exported, folded, skip_symbolic_shape=True)  # folds BatchNorm into convolutions
    # TensorRT: weights as float32 with a pair, and a pair for each reader of a tensor.
    for_tensorrt = {
        "ActivationSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "DedicatedQDQPair": True,
    }
    quantize_static(
        folded,
        quantized,
        _Batches(calibration),
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
    """Calibration images as ONNX Runtime's `CalibrationDataReader` gives them."""

    def __init__(self, images: Tensor) -> None:
        starts = range(0, len(images), CALIBRATION_BATCH)
        self._batches = iter([images[start : start + CALIBRATION_BATCH] for start in starts])

    def __iter__(self) -> "_Batches":
        return self

    def __next__(self) -> dict[str, Any]:
        return {INPUT: next(self._batches).contiguous().numpy()}  # (≤ 32, C, H, W)

    def get_next(self) -> dict[str, Any] | None:
        return next(self, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer from warning, and from logging to, or even setting up, the root logger."""
    root, handler, disabled = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)  # without any, `logging.warning` installs one that prints
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(handler)

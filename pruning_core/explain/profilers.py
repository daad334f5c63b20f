"""What profiles a network on each backend; a new one is a function and a line in PROFILERS."""

from collections.abc import Callable

import torch
from torch import nn

from pruning_core.backends import check_available
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.backends.onnx_names import onnx_names
from pruning_core.backends.quantization import MAX_INT8_DIFFERENCE, quantize
from pruning_core.errors import (
    BackendError,
    OptionError,
    PruningBenchError,
    UnknownNameError,
    first_line,
)
from pruning_core.explain.eager_profile import EagerProfiler
from pruning_core.explain.layers import layers_of
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.explain.onnxruntime_profile import OnnxRuntimeProfiler
from pruning_core.explain.openvino_profile import OpenVinoProfiler
from pruning_core.explain.profile import Profiler
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, random_like, run, tensors_of
from pruning_core.shapes.timing import CALIBRATION_EXAMPLES, Setting
from pruning_core.system.hardware import resolve_threads

Open = Callable[[nn.Module, Inputs, Inputs, Setting], Profiler]
"""Network, one example, the examples of one call, setting → what profiles it."""


def _eager(network: nn.Module, example: Inputs, inputs: Inputs, setting: Setting) -> Profiler:
    threads = resolve_threads(setting.threads)
    return EagerProfiler(network, inputs, setting.precision, setting.device, threads)


def _onnxruntime(network: nn.Module, example: Inputs, inputs: Inputs, setting: Setting) -> Profiler:
    onnx_bytes, layers = _exported(network, example, setting.precision)
    threads = resolve_threads(setting.threads)
    return OnnxRuntimeProfiler(onnx_bytes, layers, onnx_names(network, example), inputs, threads)


def _openvino(network: nn.Module, example: Inputs, inputs: Inputs, setting: Setting) -> Profiler:
    onnx_bytes, layers = _exported(network, example, setting.precision)
    names, threads = onnx_names(network, example), resolve_threads(setting.threads)
    return OpenVinoProfiler(onnx_bytes, layers, names, inputs, setting.precision, threads)


PROFILERS: dict[str, Open] = {"eager": _eager, "onnxruntime": _onnxruntime, "openvino": _openvino}
"""Name of a backend → how a network is profiled on it."""


TOLERANCES = {"fp32": 0.01, "bf16": 0.25, "fp16": 0.25, "int8": MAX_INT8_DIFFERENCE}
"""Precision → largest difference of an output, as a fraction of the largest; those of the backends."""


def check_setting(setting: Setting) -> None:
    """Refuse a setting that cannot be profiled here.

    Raises:
        OptionError: If the backend has no profile, or no such precision, or no profile on that device.
        UnavailableError: If the backend or the device is not on this machine.
    """
    if setting.backend not in PROFILERS:
        raise UnknownNameError("backend with a profile", setting.backend, PROFILERS)
    check_available(setting.backend, setting.precision, setting.device)
    if setting.device != "cpu" and (setting.backend != "eager" or not setting.device.startswith("cuda")):
        raise OptionError(
            f"explain profiles {setting.backend} on cpu only, and eager on cuda; got {setting.device}"
        )


def open_profiler(network: nn.Module, example: Inputs, setting: Setting) -> Profiler:
    """Make a network ready to be profiled on random inputs.

    Args:
        network: In float32 on the CPU; it stays as it is.
        example: What it takes, of one example.
        setting: Backend, precision and batch size.

    Raises:
        BackendError: If the backend cannot run it.
    """
    inputs = random_like(example, setting.batch_size, torch.Generator().manual_seed(0))
    try:
        profiler = PROFILERS[setting.backend](network, example, inputs, setting)
        _check_answers(profiler, network, inputs, setting)
        return profiler
    except PruningBenchError:
        raise
    except Exception as error:  # of a foreign runtime: a user gets one line and no traceback
        raise BackendError(
            f"backend {setting.backend}:{setting.precision} cannot profile this model: {first_line(error)}"
        ) from error


def _check_answers(profiler: Profiler, network: nn.Module, inputs: Inputs, setting: Setting) -> None:
    """Refuse a network that answers otherwise on a backend: an export may have recorded one run alone."""
    with torch.inference_mode():
        expected = tensors_of(run(copy_network(network).eval(), inputs))
    for ours, its in zip(tensors_of(profiler.call()), expected, strict=True):
        scale = max(float(its.nan_to_num().abs().max()), 1e-6)
        difference = float((ours.detach().cpu().float().nan_to_num() - its.nan_to_num()).abs().max()) / scale
        if difference > TOLERANCES[setting.precision]:
            raise BackendError(
                f"{setting.backend}:{setting.precision} does not answer as the network does (logits differ "
                f"by {difference:.3g} of the largest), so its times say nothing of it; use the backend eager"
            )


def _exported(network: nn.Module, example: Inputs, precision: str) -> tuple[bytes, OnnxLayers]:
    exported = export_onnx(network, example)
    modules = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
    layers = OnnxLayers(exported, modules, list(layers_of(network)))
    if precision == "int8":
        calibration = random_like(example, CALIBRATION_EXAMPLES, torch.Generator().manual_seed(1))
        return quantize(exported, calibration, names=onnx_names(network, example)), layers
    return exported, layers

"""OpenVINO IR: two files, .xml and .bin, in float32, float16 weights, or int8 as our backend runs it."""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from pruning_core.errors import BackendError, first_line
from pruning_core.export.base import ExportFormat, Material
from pruning_core.export.onnx import as_texts, onnx_bytes

SECTION = "pruning_bench"
"""Of `rt_info`, where the metadata stand."""


class OpenVino(ExportFormat):
    """OpenVINO IR: one input, one output, float32 in every precision, any number of images.

    float16 is that of the weights in the file; what a device computes in, OpenVINO decides when it compiles.
    """

    name = "openvino"
    ending = ".xml"
    precisions = ("fp32", "fp16", "int8")
    int8_backend = "openvino"
    packages = ("onnx", "onnxruntime", "openvino")
    extra = "backends"
    forbidden = ("torch",)
    reader = """
import warnings
warnings.simplefilter("ignore")
import openvino
core = openvino.Core()
options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
compiled = core.compile_model(core.read_model(path), "CPU", {**options, "PERFORMANCE_HINT": "LATENCY"})
runtime = "openvino " + openvino.__version__.split("-")[0]
def predict(images):
    return compiled(images)[0]
"""

    def write(self, material: Material, path: Path) -> None:
        """Write both files (see `ExportFormat.write`); metadata stand in its `rt_info`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of OpenVINO's own imports
            import openvino
        halves = material.precision == "fp16"
        exported = onnx_bytes(replace(material, precision="fp32", metadata={}) if halves else material)
        try:
            model = openvino.Core().read_model(exported)
            _name_by_order(model)
            for name, text in as_texts(material.metadata).items():
                model.set_rt_info(text, [SECTION, name])
            openvino.save_model(model, path, compress_to_fp16=halves)
        except Exception as error:
            raise BackendError(f"OpenVINO cannot hold this model: {first_line(error)}") from error

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the file of weights, then the one that is opened."""
        return (path.with_suffix(".bin"), path)


def _name_by_order(model: Any) -> None:
    """Name operations by their order where OpenVINO has numbered them: it counts on from model to model."""
    for number, operation in enumerate(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if re.fullmatch(rf"{re.escape(kind)}_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{kind}_{number}")

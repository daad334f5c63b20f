"""ONNX: float32, float16 weights, or int8 as the backends `onnxruntime` and `openvino` run it."""

import json
import warnings
from pathlib import Path
from typing import Any

from pruning_core.backends.onnx_export import export_onnx
from pruning_core.backends.onnx_names import INPUT, OUTPUT
from pruning_core.backends.quantization import quantize, require_calibration
from pruning_core.errors import BackendError, first_line
from pruning_core.export.base import ExportFormat, Material, Metadata


class Onnx(ExportFormat):
    """ONNX: input `images` (N, C, H, W), output `logits` (N, classes), float32 in every precision, any N."""

    name = "onnx"
    ending = ".onnx"
    precisions = ("fp32", "fp16", "int8")
    int8_backend = "onnxruntime"
    packages = ("onnx", "onnxruntime")
    extra = "backends"
    forbidden = ("torch",)
    reader = f"""
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
runtime = f"onnxruntime {{onnxruntime.__version__}}"
def predict(images):
    return session.run(["{OUTPUT}"], {{"{INPUT}": images}})[0]
"""

    def write(self, material: Material, path: Path) -> None:
        """Write one file (see `ExportFormat.write`); metadata stand in `metadata_props`."""
        path.write_bytes(onnx_bytes(material))


def onnx_bytes(material: Material) -> bytes:
    """Return a network as an ONNX file in a precision, with metadata.

    Raises:
        BackendError: If ONNX, or the quantizer, cannot hold it.
        OptionError: If int8 has no calibration images.
    """
    import onnx

    exported = export_onnx(material.network, material.example)
    if material.precision == "int8":
        exported = quantize(exported, require_calibration(material.calibration, material.example))
    try:
        model = onnx.load_from_string(exported)
        if material.precision == "fp16":
            model = _in_fp16(model)
        onnx.helper.set_model_props(model, as_texts(material.metadata))
        content: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:
        raise BackendError(f"ONNX cannot hold this model: {first_line(error)}") from error
    return content


def as_texts(metadata: Metadata) -> dict[str, str]:
    """Return metadata as texts: a text as it is, anything else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in metadata.items()
    }


def _in_fp16(model: Any) -> Any:
    """Return an ONNX model whose weights and operators are float16, between a float32 input and output.

    LayerNorm stays in float32: ONNX Runtime dies in native code on a fused one (`README.md`).
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each weight that float16 rounds to 0; answers are compared
        blocked = [*DEFAULT_OP_BLOCK_LIST, "LayerNormalization"]
        halved = OnnxModel(convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked))
    halved.topological_sort()  # the converter puts what it adds at the end
    return halved.model

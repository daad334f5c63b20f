"""TensorRT without a GPU: the model it would get, its options, and what becomes of failures."""

import importlib.util
import warnings

import pytest
import torch

from pruning_core.backends import onnxruntime, tensorrt
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.backends.onnxruntime import OnnxRuntimeExecutable, open_session, session_options
from pruning_core.backends.quantization import quantize
from pruning_core.backends.tensorrt import TensorRt, TensorRtExecutable
from pruning_core.errors import BackendError
from tests.helpers.backend_inputs import images_of, tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)
CPU = "CPUExecutionProvider"

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")),
    reason="the extra `backends` is not installed",
)


@pytest.fixture
def opened(monkeypatch) -> list[tuple[list[int], str, dict]]:
    """Open sessions on the CPU instead of TensorRT; note the shape of each, its provider and options."""
    notes = []

    def open_on_cpu(onnx_bytes, options, provider, provider_options):
        assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
        # Without fusions: 8-bit products of the CPU saturate where it has no VNNI, TensorRT's never do.
        levels = importlib.import_module("onnxruntime").GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_DISABLE_ALL
        session = open_session(onnx_bytes, options, CPU, {})
        notes.append((session.get_inputs()[0].shape, provider, provider_options))
        return session

    monkeypatch.setattr(tensorrt, "open_session", open_on_cpu)
    monkeypatch.setattr(
        tensorrt,
        "bind_session",
        lambda session, images, device, names: onnxruntime.bind_session(session, images, "cpu", names),
    )
    return notes


def test_each_batch_size_has_an_engine_of_fixed_shape(opened) -> None:
    """Partial batches are padded to an engine's size; a timed batch gets an engine of its very size."""
    loaded = TensorRtExecutable(export_onnx(tiny(), EXAMPLE), "fp16", "cuda:1", 1)
    for n in (4, 3, 1, 4, 5):
        images = images_of(n, seed=n)
        assert torch.allclose(loaded.predict(images), tiny()(images), atol=1e-4)
    assert torch.allclose(loaded.bind(images_of(2))(), tiny()(images_of(2)), atol=1e-4)
    options = {"device_id": 1, "trt_fp16_enable": True}
    assert opened == [
        ([n, 3, 32, 32], "TensorrtExecutionProvider", options) for n in (4, 5, 2)
    ]  # no dimension is left open


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_each_precision_asks_for_its_type_only(opened, precision) -> None:
    """fp16 and int8 are allowed by name; fp32 allows neither."""
    loaded = TensorRt().load(
        tiny(),
        EXAMPLE,
        precision=precision,
        device="cuda",
        threads=1,
        calibration=images_of(40) if precision == "int8" else None,
    )
    expected = tiny()(images_of(8)).detach()
    assert float((loaded.predict(images_of(8)) - expected).abs().max()) < 0.05 * float(expected.abs().max())
    allowed = {} if precision == "fp32" else {f"trt_{precision}_enable": True}
    assert all(options == {"device_id": 0, **allowed} for _, _, options in opened)
    said = {name: value for name, value in loaded.options(4).items() if name.startswith("trt_")}
    assert said == {name: str(value) for name, value in allowed.items()}
    assert loaded.options(4)["session.disable_cpu_ep_fallback"] == "1"


def test_the_int8_model_is_what_tensorrt_reads() -> None:
    """Zero points are 0, biases stay in float32, and weights are float32 with a pair of their own."""
    import onnx
    from onnx import numpy_helper

    quantized = quantize(export_onnx(tiny(), EXAMPLE), images_of(40), symmetric=True)
    graph = onnx.load_model_from_string(quantized).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    assert all((arrays[node.input[2]] == 0).all() for node in pairs)
    assert all(arrays[node.input[2]].dtype.name == "int8" for node in pairs)
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 3
    made_by = {node.output[0]: node for node in graph.node}
    for convolution in convolutions:
        dequantize = made_by[convolution.input[1]]
        weight = made_by[dequantize.input[0]].input[0]
        assert (dequantize.op_type, arrays[weight].dtype.name) == ("DequantizeLinear", "float32")
        assert arrays[convolution.input[2]].dtype.name == "float32"  # the bias, unquantized


def test_tensorrt_that_is_not_there_is_an_error_and_not_the_cpu() -> None:
    """If the provider cannot start, one line says so; nothing runs elsewhere under TensorRT's name."""
    loaded = TensorRtExecutable(export_onnx(tiny(), EXAMPLE), "fp32", "cuda", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX Runtime warns that it leaves the provider out
        with pytest.raises(BackendError, match="TensorRT cannot take the whole of this model") as caught:
            loaded.predict(images_of(2))
    assert "\n" not in str(caught.value)


def test_cuda_that_cannot_start_is_an_error_and_not_the_cpu() -> None:
    """ONNX Runtime that left its CUDA provider out would run on the CPU, and is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            BackendError, match="could not start CUDAExecutionProvider and would run on the CPU"
        ):
            open_session(export_onnx(tiny(), EXAMPLE), session_options(1), "CUDAExecutionProvider", {})


def test_a_session_does_not_change_its_provider_later(capsys) -> None:
    """A provider that fails in a call raises; ONNX Runtime would print and go on with another."""
    session = open_session(export_onnx(tiny(), EXAMPLE), session_options(1), CPU, {})
    assert session._enable_fallback is False
    assert OnnxRuntimeExecutable(session, "cpu").predict(images_of(1)).shape == (1, 10)

"""Which backends, precisions and devices there are, and what is said of those that are not there."""

import importlib.util
import re
import shutil

import pytest
import torch

from pruning_core import backends
from pruning_core.backends import BACKENDS, check_backend, check_device, load_executable, openvino
from pruning_core.errors import OptionError, UnavailableError, UnknownNameError
from tests.helpers.factories import Tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_backend_that_is_not_installed_says_how_to_get_it(monkeypatch, name) -> None:
    """A missing package gives one line with its name and the command that installs it."""
    torchs = importlib.util.find_spec("torch")  # stands for whatever else is asked for
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted, package=None: None if wanted == name else torchs
    )
    with pytest.raises(UnavailableError) as caught:
        load_executable(name, Tiny(), EXAMPLE, "fp32", "cpu", 1)
    message = str(caught.value)
    assert f"not installed: {name}." in message
    assert "pip install 'pruning-bench[backends]'" in message
    assert "\n" not in message


EVERY = [(name, precision) for name, backend in BACKENDS.items() for precision in backend.precisions]


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps", "xpu:0"])
@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_whatever_is_missing_one_line_names_what_to_do(monkeypatch, name, precision, device) -> None:
    """With no package, no compiler and no GPU, a backend says in one line what to install or use instead."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, package=None: None)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(openvino, "cpu_bf16", lambda: "none")
    reason = BACKENDS[name].unavailable_reason(precision, device)
    if reason is None:
        assert name in ("eager", "cudagraph", "csr", "bsr")  # these are PyTorch, which is there
    else:
        assert "\n" not in reason
        assert re.search(r"Install with: pip install|Install g\+\+|Use ", reason)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_cuda_graph_needs_cuda(precision) -> None:
    """The backend `cudagraph` is there on every CUDA device, and on no other."""
    with pytest.raises(UnavailableError, match="CUDA graphs run on CUDA only, not on cpu"):
        load_executable("cudagraph", Tiny(), EXAMPLE, precision, "cpu", 1)
    assert BACKENDS["cudagraph"].unavailable_reason(precision, "cuda:1") is None


@pytest.mark.parametrize(("name", "provider"), [("onnxruntime", "CUDA"), ("tensorrt", "Tensorrt")])
def test_a_build_of_onnx_runtime_without_a_provider_says_which(monkeypatch, name, provider) -> None:
    """On CUDA, ONNX Runtime's own kernels and TensorRT each need a build that lists their provider."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    reason = BACKENDS[name].unavailable_reason("fp32", "cuda")
    assert reason is not None
    assert f"has no {provider}ExecutionProvider. Install with: pip install onnxruntime-gpu" in reason
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [f"{provider}ExecutionProvider"])
    assert BACKENDS[name].unavailable_reason("fp32", "cuda") is None


def test_int8_of_onnx_runtime_is_for_the_cpu() -> None:
    """ONNX Runtime has no int8 convolutions on CUDA, and names TensorRT, which has."""
    assert "Use tensorrt:int8" in str(BACKENDS["onnxruntime"].unavailable_reason("int8", "cuda"))


def test_openvinos_int8_needs_onnx_runtime_to_quantize(monkeypatch) -> None:
    """OpenVINO runs int8 that ONNX Runtime's quantizer wrote; without it, fp32 is still there."""
    there = importlib.util.find_spec("torch")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted, package=None: None if wanted == "onnxruntime" else there
    )
    assert "not installed: onnxruntime." in str(BACKENDS["openvino"].unavailable_reason("int8", "cpu"))
    assert BACKENDS["openvino"].unavailable_reason("fp32", "cpu") is None


def test_compile_without_a_compiler_says_so(monkeypatch) -> None:
    """Without g++ and clang++, the backend `compile` is unavailable and says what to install."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UnavailableError, match=r"finds no g\+\+ or clang\+\+. Install g\+\+"):
        load_executable("compile", Tiny(), EXAMPLE, "fp32", "cpu", 1)


def test_a_precision_this_cpu_lacks_is_unavailable(monkeypatch) -> None:
    """OpenVINO would run fp32 instead of bf16 on a CPU without it, so it is refused there."""
    monkeypatch.setattr(openvino, "cpu_bf16", lambda: "none")
    assert "OpenVINO would run fp32 instead" in str(BACKENDS["openvino"].unavailable_reason("bf16", "cpu"))


def test_fp16_on_a_cpu_is_unavailable() -> None:
    """Eager fp16 runs on CUDA only."""
    with pytest.raises(UnavailableError, match="eager runs fp16 on CUDA only"):
        load_executable("eager", Tiny(), EXAMPLE, "fp16", "cpu", 1)


def test_an_unknown_backend_is_told_with_its_neighbour() -> None:
    """A misspelt backend gets the closest name and all names."""
    with pytest.raises(UnknownNameError, match="Did you mean 'onnxruntime'"):
        check_backend("onnxruntme", "fp32")


def test_a_precision_that_a_backend_lacks_is_told_with_those_it_has() -> None:
    """`onnxruntime:bf16` is refused, with the precisions of onnxruntime."""
    with pytest.raises(OptionError, match="'onnxruntime' has no precision 'bf16'; it has: fp32"):
        check_backend("onnxruntime", "bf16")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CPU", "cuda:0 "])
def test_a_text_that_names_no_device_is_an_option_error(device) -> None:
    """Nonsense is refused with the devices that can be named."""
    with pytest.raises(OptionError, match="allowed: cpu, cuda, cuda:N"):
        check_device(device)


def test_the_cpu_is_always_there() -> None:
    """`cpu` passes the check on every machine."""
    check_device("cpu")


@pytest.mark.parametrize("device", ["cuda:99", "xpu:99"])
def test_a_device_that_is_not_on_this_machine_is_unavailable(device) -> None:
    """A device that could be, and is not here, is told apart from nonsense."""
    with pytest.raises(UnavailableError, match=f"'{device}' is not on this machine"):
        check_device(device)


def test_devices_are_counted_from_zero(monkeypatch) -> None:
    """With two GPUs, cuda, cuda:0 and cuda:1 are there and cuda:2 is not."""
    monkeypatch.setattr(backends, "_count_devices", lambda kind: 2)
    for device in ("cuda", "cuda:0", "cuda:1"):
        check_device(device)
    with pytest.raises(UnavailableError, match="this machine has 2 of that kind"):
        check_device("cuda:2")


def test_every_name_in_the_table_is_its_backends_own() -> None:
    """The table's keys are the backends' names, and every precision is one that a grid may name."""
    from pruning_core.config.precision import PRECISIONS

    for name, backend in BACKENDS.items():
        assert backend.name == name
        assert set(backend.precisions) <= set(PRECISIONS)
        assert "fp32" in backend.precisions or name == "sparse24"  # cuSPARSELt has no such products

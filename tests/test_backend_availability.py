"""Which backends, precisions and devices there are, and what is said of those that are not there."""

import importlib.util
import shutil

import pytest
import torch
from factories import Tiny

from pruning_core import backends
from pruning_core.backends import BACKENDS, check_backend, check_device, load_executable, openvino
from pruning_core.errors import OptionError, UnavailableError, UnknownNameError

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


def test_compile_without_a_compiler_says_so(monkeypatch) -> None:
    """Without g++ and clang++, the backend `compile` is unavailable and says what to install."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UnavailableError, match=r"finds no g\+\+ or clang\+\+. Install g\+\+"):
        load_executable("compile", Tiny(), EXAMPLE, "fp32", "cpu", 1)


def test_a_precision_this_cpu_lacks_is_unavailable(monkeypatch) -> None:
    """OpenVINO would run fp32 in place of bf16 on a CPU without it, so it is refused there."""
    monkeypatch.setattr(openvino, "cpu_bf16", lambda: "none")
    assert "OpenVINO would run fp32 instead" in str(BACKENDS["openvino"].why_unavailable("bf16", "cpu"))


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
    from pruning_core.grid import PRECISIONS

    for name, backend in BACKENDS.items():
        assert backend.name == name
        assert set(backend.precisions) <= set(PRECISIONS)
        assert "fp32" in backend.precisions

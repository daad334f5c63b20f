"""int8: quantizing is deterministic and silent, and what is called int8 runs in int8."""

import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from pruning_core.backends import BACKENDS, load_executable, onnxruntime, openvino, quantization
from pruning_core.backends.base import Executable
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.backends.quantization import check_quantized, needs_reduced_range, quantize
from pruning_core.errors import BackendError, OptionError
from tests.helpers.backend_inputs import images_of, tiny
from tests.helpers.factories import Tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)
CALIBRATION = images_of(40)  # a partial last batch
INT8_ON_CPU = ["onnxruntime", "openvino"]

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "openvino")),
    reason="the extra `backends` is not installed",
)


def load_int8(name: str, calibration: torch.Tensor | None = CALIBRATION) -> Executable:
    """Make the small network ready to run in int8."""
    return load_executable(name, tiny(), EXAMPLE, "int8", "cpu", 1, calibration=calibration)


def test_the_same_model_and_images_give_the_same_bytes_in_every_process(tmp_path) -> None:
    """Processes that order sets of strings differently write the same quantized model."""
    (tmp_path / "model.onnx").write_bytes(export_onnx(tiny(), EXAMPLE))
    program = (
        "import hashlib, pathlib, torch; from pruning_core.backends.quantization import quantize;"
        "images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0));"
        "model = pathlib.Path('model.onnx').read_bytes();"
        "print(*(hashlib.sha256(quantize(model, images)).hexdigest() for _ in range(2)))"
    )
    package = str(Path(quantization.__file__).parents[2])
    digests = set()
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": package},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stderr == ""
        digests |= set(told.stdout.split())
    assert digests == {hashlib.sha256(quantize(export_onnx(tiny(), EXAMPLE), CALIBRATION)).hexdigest()}


def test_ranges_come_from_the_calibration_images() -> None:
    """Images of another range give another model."""
    onnx_bytes = export_onnx(tiny(), EXAMPLE)
    assert quantize(onnx_bytes, CALIBRATION) != quantize(onnx_bytes, CALIBRATION * 2)


def test_all_calibration_images_count() -> None:
    """An extreme in the last, partial batch widens the ranges."""
    onnx_bytes = export_onnx(tiny(), EXAMPLE)
    last_is_extreme = CALIBRATION.clone()
    last_is_extreme[-1] *= 10
    assert quantize(onnx_bytes, CALIBRATION) != quantize(onnx_bytes, last_is_extreme)


@pytest.fixture
def talkative(monkeypatch) -> None:
    """Skip what prepares a model, so that the quantizer has something to complain about."""
    from onnxruntime.quantization import shape_inference

    monkeypatch.setattr(
        shape_inference, "quant_pre_process", lambda source, target, **_: shutil.copy(source, target)
    )


def test_quantizing_leaves_no_trace(talkative, capfd, monkeypatch, tmp_path) -> None:
    """Nothing is printed, no file is left, and logging is as it was, though nobody has set it up."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    quantize(export_onnx(tiny(), EXAMPLE), CALIBRATION)
    assert root.handlers == []
    assert logging.root.manager.disable == logging.NOTSET
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_quantizing_does_not_log(talkative, caplog) -> None:
    """A program that listens to the root logger hears nothing of the quantizer."""
    with caplog.at_level(logging.DEBUG):
        quantize(export_onnx(tiny(), EXAMPLE), CALIBRATION)
    assert caplog.records == []


def test_what_cannot_be_quantized_is_one_line() -> None:
    """Bytes that are no model give an error of one line."""
    with pytest.raises(BackendError, match="cannot be quantized to int8") as caught:
        quantize(b"no model", CALIBRATION)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", INT8_ON_CPU)
@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (None, "int8 takes its ranges from training images: pass some as `calibration`"),
        (CALIBRATION[:0], "pass some as `calibration`"),
        (
            CALIBRATION[:, :, :8],
            r"calibration images are \(3, 8, 32\) torch.float32; the model takes \(3, 32",
        ),
        (CALIBRATION.double(), r"\(3, 32, 32\) torch.float64; the model takes"),
    ],
    ids=["none", "empty", "size", "type"],
)
def test_int8_without_fitting_images_is_an_option_error(name, calibration, says) -> None:
    """int8 without calibration images, or with others than the model takes, says so in one line."""
    with pytest.raises(OptionError, match=says) as caught:
        load_int8(name, calibration)
    assert "\n" not in str(caught.value)


def test_other_precisions_ignore_calibration_images() -> None:
    """fp32 answers the same whatever calibration images come along."""
    images = CALIBRATION[:3]
    plain = load_executable("onnxruntime", tiny(), EXAMPLE, "fp32", "cpu", 1)
    given = load_executable("onnxruntime", tiny(), EXAMPLE, "fp32", "cpu", 1, calibration=CALIBRATION * 9)
    assert torch.equal(plain.predict(images), given.predict(images))


@pytest.mark.parametrize("name", INT8_ON_CPU)
def test_int8_is_not_fp32_under_another_name(name) -> None:
    """Answers of int8 differ from those of fp32 by more than fp32 can, and by less than 5 %."""
    images = CALIBRATION[:8]
    expected = load_executable(name, tiny(), EXAMPLE, "fp32", "cpu", 1).predict(images)
    error = (load_int8(name).predict(images) - expected).abs().max() / expected.abs().max()
    assert 1e-3 < float(error) < 0.05


@pytest.mark.parametrize(("name", "module"), [("onnxruntime", onnxruntime), ("openvino", openvino)])
def test_a_runtime_that_runs_nothing_in_int8_is_an_error(monkeypatch, name, module) -> None:
    """A model that quantizing has left unchanged is refused: its times would be those of fp32."""
    monkeypatch.setattr(module, "quantize", lambda onnx_bytes, calibration, names: onnx_bytes)
    with pytest.raises(BackendError, match="asked for int8 and runs no convolution of this model in int8"):
        load_int8(name)


@pytest.mark.parametrize("name", INT8_ON_CPU)
def test_an_int8_linear_layer_does_not_make_up_for_float_convolutions(monkeypatch, name) -> None:
    """A network with convolutions is int8 only if convolutions are."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    for registry in (QDQRegistry, QLinearOpsRegistry):
        for kind in list(registry):
            if kind not in ("Gemm", "MatMul"):
                monkeypatch.delitem(registry, kind)
    with pytest.raises(BackendError, match="runs no convolution of this model in int8"):
        load_int8(name)


@pytest.mark.parametrize("name", INT8_ON_CPU)
def test_a_network_without_convolutions_runs_in_int8(name) -> None:
    """Where there are only linear layers, those are what has to run in int8."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(48, 32), torch.nn.ReLU(), torch.nn.Linear(32, 5)
    )
    images = torch.randn(40, 3, 4, 4)
    loaded = load_executable(name, net, images[:1], "int8", "cpu", 1, calibration=images)
    expected = net(images).detach()
    assert float((loaded.predict(images) - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_an_int8_model_that_answers_something_else_is_refused() -> None:
    """Logits that have nothing to do with the model's are an error; rounding is not."""
    loaded = load_int8("onnxruntime")
    check_quantized(loaded, tiny(), CALIBRATION)
    torch.manual_seed(1)
    with pytest.raises(BackendError, match=r"logits of training images differ by .* Use fp32 or bf16"):
        check_quantized(loaded, Tiny().eval(), CALIBRATION)


@pytest.mark.parametrize("name", INT8_ON_CPU)
def test_a_wrong_export_is_not_taken_for_rounding(name) -> None:
    """A forward that branches on its input is refused in int8 as it is in fp32."""

    class Branching(Tiny):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """(N, C, H, W) -> (N, classes)."""
            logits = super().forward(images)
            return logits if float(images.abs().max()) == 0 else logits * 1.05

    with pytest.raises(BackendError, match="may branch on its input"):
        load_executable(name, Branching(), EXAMPLE, "int8", "cpu", 1, calibration=CALIBRATION)


@pytest.mark.parametrize(
    ("machine", "flags", "reduced"),
    [
        ("x86_64", {"avx2"}, True),
        ("AMD64", set(), True),
        ("x86_64", {"avx512f", "avx512_vnni"}, False),
        ("x86_64", {"avx2", "avx_vnni"}, False),
        ("aarch64", {"asimddp"}, False),
        ("arm64", set(), False),
    ],
)
def test_weights_keep_7_bits_where_8_would_overflow(machine, flags, reduced) -> None:
    """Only an x86 CPU without VNNI needs the reduced range."""
    assert needs_reduced_range(machine, frozenset(flags)) is reduced


def test_a_cpu_without_vnni_gets_smaller_weights(monkeypatch) -> None:
    """On such a CPU every int8 weight lies within 7 bits; here, on one with VNNI, some do not."""
    onnx_bytes = export_onnx(tiny(), EXAMPLE)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    largest = {}
    for flag in ("avx2", "avx512_vnni"):
        monkeypatch.setattr(quantization, "cpu_flags", lambda flag=flag: frozenset({flag}))
        largest[flag] = max_weight(quantize(onnx_bytes, CALIBRATION))
    assert largest == {"avx2": 64, "avx512_vnni": 127}


def max_weight(onnx_bytes: bytes) -> int:
    """Return the largest absolute value of any int8 weight."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(onnx_bytes).graph
    weights = [numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    return max(int(abs(w.astype(int)).max()) for w in weights if w.ndim == 4)


def test_every_backend_with_int8_is_tested_here_or_needs_a_gpu() -> None:
    """A backend that gains int8 on the CPU must join this file's list."""
    have = {name for name, backend in BACKENDS.items() if "int8" in backend.precisions}
    assert {name for name in have if BACKENDS[name].unavailable_reason("int8", "cpu") is None} == set(
        INT8_ON_CPU
    )

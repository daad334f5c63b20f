"""OpenVINO runs the precision it was asked for, on its streams; what it cannot compile is one line."""

import importlib.util

import pytest
import torch
from torch import nn

from pruning_core.backends import BACKENDS, load_executable, openvino
from pruning_core.errors import BackendError
from pruning_core.shapes.timing import Setting, time_shapes
from pruning_core.system.hardware import usable_cores
from tests.helpers.backend_inputs import tiny
from tests.helpers.contract_network import EXAMPLE, THREADS, eager_logits, small_images, small_net

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("openvino"), reason="the extra `backends` is not installed"
)

WHAT_OPENVINO_SAYS = """Exception from src/inference/src/cpp/core.cpp:117:
Exception from src/inference/src/dev/plugin.cpp:54:
No suitable implementations found

"""


@pytest.fixture
def fails_at(monkeypatch):
    """Let OpenVINO fail at batch sizes, as it does on AVX2 for 4 channels into a depthwise layer.

    0: at any; -1: at any after one that failed.
    """
    import openvino

    sizes, calls, compile_model = set(), [], openvino.Core.compile_model

    def compile_some(core, model, *arguments):
        size = model.inputs[0].get_partial_shape()[0]
        number = 0 if size.is_dynamic else size.get_length()
        calls.append(number)
        if number in sizes or (number == 0 and -1 in sizes and calls[-2:-1] and calls[-2] in sizes):
            raise RuntimeError(WHAT_OPENVINO_SAYS)
        return compile_model(core, model, *arguments)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_some)
    return sizes


def test_a_batch_size_that_openvino_cannot_compile_is_one_line(fails_at):
    """The settings that it can run are timed; that one says why not."""
    fails_at |= {3, -1}
    settings = [Setting("openvino", "fp32", size, threads=1) for size in (1, 3)]
    one, three = time_shapes(tiny(), [tiny()], torch.zeros(1, 3, 32, 32), settings, go_on=True)
    assert one.networks[0] is not None
    assert three.networks == (None,)
    said = "for batches of 3 on each stream: No suitable implementations found"
    assert three.errors == (f"OpenVINO cannot compile this model {said}",)


def four_channels_deep():
    """Return a network of 4 channels before a layer of one pixel and a depthwise one, as pruning leaves."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1),
        nn.ReLU6(),
        nn.Conv2d(4, 32, 1),
        nn.ReLU6(),
        nn.Conv2d(32, 32, 3, 2, 1, groups=32),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
    ).eval()


@pytest.mark.parametrize(("threads", "fails"), [(1, set()), (2, set()), (1, {32}), (2, {16})])
def test_where_no_kernel_takes_the_batch_size_a_model_of_any_size_is_timed(fails_at, threads, fails):
    """OpenVINO has none on AVX2 for 32 images of 4 channels; the answers are right, and it is told."""
    network, images = four_channels_deep(), torch.randn(32, 3, 224, 224)
    loaded = load_executable("openvino", network, images[:1], "fp32", "cpu", threads)
    fails_at |= fails
    run, expected = loaded.bind(images), network(images).detach()
    for _ in range(2):
        torch.testing.assert_close(run(), expected, rtol=1e-3, atol=1e-4)
        run().fill_(torch.nan)
    assert loaded.options(32).get("dynamic_batch") in ({"true"} if fails else {"true", None})
    assert "dynamic_batch" not in loaded.options(1)
    assert "dynamic_batch" not in loaded.options()


def test_a_network_that_openvino_cannot_compile_is_one_line(fails_at):
    """What the first lines say, files of OpenVINO's own, is left out."""
    fails_at.add(0)
    with pytest.raises(BackendError, match=r"for any batch size: No suitable implementations found$"):
        time_shapes(tiny(), [], torch.zeros(1, 3, 32, 32), [Setting("openvino", "fp32", 1, threads=1)])


def test_openvino_fp32_is_not_silently_bf16() -> None:
    """On a CPU with bfloat16, OpenVINO left alone takes it for float32 models; ours computes in float32."""
    net, images = small_net(), small_images(7)
    expected = eager_logits(net, images)
    loaded = load_executable("openvino", net, EXAMPLE, "fp32", "cpu", THREADS)
    scale = float(expected.abs().max())
    # bfloat16 keeps 8 bits: it would be off by 1e-3 of the scale and more.
    assert float((loaded.predict(images) - expected).abs().max()) < 1e-5 * scale
    assert float((loaded.bind(images)() - expected).abs().max()) < 1e-5 * scale


@pytest.mark.parametrize(
    ("threads", "n", "streams"),
    [(2, 1, 1), (2, 31, 1), (2, 32, 2), (2, 33, 1), (4, 32, 2), (4, 64, 4), (3, 96, 3), (1, 128, 1)],
)
def test_openvino_splits_a_large_batch_between_streams(threads, n, streams) -> None:
    """Each stream gets as many images, 16 at least, and each image its own answer, in every call."""
    net = small_net()
    loaded = load_executable("openvino", net, EXAMPLE, "fp32", "cpu", threads)
    assert isinstance(loaded, openvino.OpenVinoExecutable)
    assert loaded.streams_for(n) == streams
    images = small_images(n, seed=n)
    run = loaded.bind(images)
    if threads <= usable_cores():  # OpenVINO makes no more streams than there are cores
        assert loaded._by_batch[n].get_property("NUM_STREAMS") == streams
    assert loaded.options(n).get("NUM_STREAMS", "1") == str(streams)
    for _ in range(3):
        torch.testing.assert_close(run(), eager_logits(net, images), rtol=1e-3, atol=1e-3)


def test_openvino_waits_for_all_streams() -> None:
    """No call returns before the last image has its answer."""
    run = load_executable("openvino", small_net(32), EXAMPLE, "fp32", "cpu", 2).bind(small_images(256))
    for _ in range(100):
        logits = run()
        kept = logits.clone()
        logits.fill_(torch.nan)
        assert kept.isfinite().all()


def test_openvino_that_runs_another_precision_is_an_error(monkeypatch) -> None:
    """If OpenVINO does not run the precision it was asked for, no number is produced."""
    if BACKENDS["openvino"].unavailable_reason("bf16", "cpu"):
        pytest.skip("OpenVINO has no bf16 here")
    monkeypatch.setitem(openvino.PRECISIONS, "fp32", ("bf16", "f32", 0.01))
    with pytest.raises(BackendError, match="asked for bf16 and runs bf16"):
        load_executable("openvino", small_net(), EXAMPLE, "fp32", "cpu", THREADS)

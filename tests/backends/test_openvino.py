"""What OpenVINO cannot compile is one line, and no traceback."""

import importlib.util

import pytest
import torch

from pruning_core.errors import BackendError
from pruning_core.shapes.timing import Setting, time_shapes
from tests.helpers.backend_inputs import tiny

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("openvino"), reason="the extra `backends` is not installed"
)

WHAT_OPENVINO_SAYS = """Exception from src/inference/src/cpp/core.cpp:117:
Exception from src/inference/src/dev/plugin.cpp:54:
No suitable implementations found

"""


@pytest.fixture
def fails_at(monkeypatch):
    """Let OpenVINO fail at batch sizes, as it does on AVX2 for 34 depthwise channels at 8 images and more."""
    import openvino

    sizes, compile_model = set(), openvino.Core.compile_model

    def compile_some(core, model, *arguments):
        size = model.inputs[0].get_partial_shape()[0]
        if (0 if size.is_dynamic else size.get_length()) in sizes:
            raise RuntimeError(WHAT_OPENVINO_SAYS)
        return compile_model(core, model, *arguments)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_some)
    return sizes


def test_a_batch_size_that_openvino_cannot_compile_is_one_line(fails_at):
    """The settings that it can run are timed; that one says why not."""
    fails_at.add(3)
    settings = [Setting("openvino", "fp32", size, threads=1) for size in (1, 3)]
    one, three = time_shapes(tiny(), [tiny()], torch.zeros(1, 3, 32, 32), settings, go_on=True)
    assert one.networks[0] is not None
    assert three.networks == (None,)
    said = "for batches of 3 on each stream: No suitable implementations found"
    assert three.errors == (f"OpenVINO cannot compile this model {said}",)


def test_a_network_that_openvino_cannot_compile_is_one_line(fails_at):
    """What the first lines say, files of OpenVINO's own, is left out."""
    fails_at.add(0)
    with pytest.raises(BackendError, match=r"for any batch size: No suitable implementations found$"):
        time_shapes(tiny(), [], torch.zeros(1, 3, 32, 32), [Setting("openvino", "fp32", 1, threads=1)])

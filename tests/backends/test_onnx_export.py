"""What is exported to ONNX answers as the network does; what cannot be is one line."""

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from pruning_core.backends import BACKENDS, load_executable
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.errors import BackendError
from tests.helpers.contract_network import EXAMPLE, THREADS, SmallNet, small_net


def test_an_export_of_a_network_is_the_same_bytes_every_time() -> None:
    """Exporting twice gives the same ONNX file."""
    if importlib.util.find_spec("onnx") is None:
        pytest.skip("onnx is not here")
    assert export_onnx(small_net(), EXAMPLE) == export_onnx(small_net(), EXAMPLE)


class Branching(SmallNet):
    """A forward that depends on the images: tracing writes down one branch."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        logits = super().forward(images)
        return logits if float(images.abs().max()) == 0 else logits + 1


def test_an_export_that_answers_otherwise_is_refused() -> None:
    """A network whose forward branches on its input gives an error, not other answers."""
    if BACKENDS["onnxruntime"].unavailable_reason("fp32", "cpu"):
        pytest.skip("ONNX Runtime is not here")
    with pytest.raises(BackendError, match="may branch on its input") as caught:
        load_executable("onnxruntime", Branching(), EXAMPLE, "fp32", "cpu", THREADS)
    assert "\n" not in str(caught.value)


class Broken(nn.Module):
    """A forward that fails."""

    def forward(self, images: Tensor) -> Tensor:
        """Raise."""
        raise ValueError("first line\nsecond line")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_model_that_cannot_be_exported_is_one_line(name) -> None:
    """A backend that cannot take a model says why in one line."""
    if BACKENDS[name].unavailable_reason("fp32", "cpu"):
        pytest.skip(f"{name} is not here")
    with pytest.raises(BackendError, match=r"cannot export this model to ONNX: first line$"):
        load_executable(name, Broken(), EXAMPLE, "fp32", "cpu", THREADS)


def test_attention_layers_are_exported() -> None:
    """PyTorch's own attention layers run by one fused operation in evaluation, which ONNX lacks."""

    class Attending(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            x = nn.functional.adaptive_avg_pool2d(images, (4, 2)).transpose(1, 2).flatten(2)[:, :, :6]
            x = nn.functional.pad(x, (0, 2))
            return super().forward(images) + self.attention(x, x, x)[0].mean((1, 2))[:, None]

    before = torch.backends.mha.get_fastpath_enabled()
    assert export_onnx(Attending().eval(), EXAMPLE)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_a_graph_that_cannot_be_exported_is_not_printed(capfd) -> None:
    """The exporter would print pages of its graph; the user gets one line."""

    class Unknown(SmallNet):
        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            return super().forward(images) * torch.vdot(images.flatten(), images.flatten())

    with pytest.raises(BackendError, match=r"vdot"):
        export_onnx(Unknown().eval(), EXAMPLE)
    assert capfd.readouterr() == ("", "")

"""Nodes of a runtime find their layers again, however they were fused and renamed."""

import pytest
import torch
from torch import Tensor, nn

from pruning_core.backends.onnx_export import export_onnx
from pruning_core.explain.layers import layers_of
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.models import build_model


def layers_in(network: nn.Module, example: Tensor) -> OnnxLayers:
    """Export a network and read its graph."""
    names = [name for name, _ in network.named_modules() if name]
    return OnnxLayers(export_onnx(network.eval(), example), names, list(layers_of(network)))


@pytest.fixture(scope="module")
def resnet() -> OnnxLayers:
    """Return the layers of a ResNet."""
    return layers_in(build_model("resnet18", 10, (3, 32, 32)), torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "operator", "layer"),
    [
        ("/layer1/layer1.0/conv1/Conv", "Conv", "layer1.0.conv1"),
        ("/layer1/layer1.0/conv1/Conv/WithoutBiases", "Convolution", "layer1.0.conv1"),
        ("/layer1/layer1.0/relu/Relu_output_0_nchwc", "Conv", "layer1.0.conv1"),
        ("/layer1/layer1.0/conv2/Conv_output_0_nchwc", "Conv", "layer1.0.conv2"),
        ("/layer1/layer1.0/relu_1/Relu_output_0", "FusedConv", "layer1.0.conv2"),
        ("/layer2/layer2.0/downsample/downsample.0/Conv_token_12", "QLinearConv", "layer2.0.downsample.0"),
        ("/fc/Gemm", "Gemm", "fc"),
        ("/layer1/layer1.0/conv1/Conv2d", "Conv", ""),  # begins like a name, and is another
        ("logits", "FullyConnected", "fc"),
    ],
)
def test_a_product_is_of_its_layer(resnet: OnnxLayers, name: str, operator: str, layer: str) -> None:
    """A name may have a suffix, be that of an output, or that of what was fused behind the layer."""
    assert resnet.find(name, operator) == (layer, "layer" if layer else "other")


@pytest.mark.parametrize(
    ("name", "operator", "kind"),
    [
        ("ReorderOutput", "ReorderOutput", "conversion"),
        ("images_abcd_acdb_/conv1/Conv/WithoutBiases", "Reorder", "conversion"),
        ("images_QuantizeLinear", "QuantizeLinear", "conversion"),
        ("/layer1/layer1.0/Add", "Add", "other"),
        ("/avgpool/GlobalAveragePool_output_0_nchwc", "GlobalAveragePool", "other"),
        ("nobody knows", "Conv", "other"),
    ],
)
def test_what_is_no_product_is_of_no_layer(resnet: OnnxLayers, name: str, operator: str, kind: str) -> None:
    """Conversions are told from other nodes."""
    assert resnet.find(name, operator) == ("", kind)


def test_a_node_that_was_fused_from_several_is_found_by_what_it_was_made_of(resnet: OnnxLayers) -> None:
    """Where a runtime invents a name but lists what it fused, the list decides."""
    made_of = ("/relu/Relu", "/layer3/layer3.1/conv1/Conv")
    assert resnet.find("Fused_77", "Convolution", made_of) == ("layer3.1.conv1", "layer")


class Repeated(nn.Module):
    """Calls one layer twice, and an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(8, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)])
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 8)."""
        x = self.shared(self.shared(x).relu())
        for block in self.blocks:
            x = block(x).relu()
        return self.attention(x, x, x, need_weights=False)[0].mean(1)


def test_a_layer_that_is_called_twice_and_what_is_inside_an_attention_are_found() -> None:
    """The second call has a number behind its name; what an attention computes is its own."""
    layers = layers_in(Repeated(), torch.zeros(1, 5, 8))
    assert layers.find("/shared_1/MatMul", "MatMul") == ("shared", "layer")
    assert layers.find("/blocks.1/MatMul", "MatMul") == ("blocks.1", "layer")
    assert layers.find("/attention/MatMul_1", "MatMul") == ("attention", "layer")
    assert layers.find("/attention/Softmax", "Softmax") == ("attention", "layer")
    assert layers.find("/attention/Transpose", "Transpose") == ("attention", "layer")

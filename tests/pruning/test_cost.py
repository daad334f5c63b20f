"""Multiply-adds and parameters: the tutorial's numbers, a cross-check, and what the counter does not see."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pruning_core.errors import ModelError
from pruning_core.pruning.cost import Cost, count_cost
from pruning_core.torchvision_compat import models

EXAMPLE = torch.zeros(1, 3, 16, 16)


class ConvNet(nn.Module):
    """Convolutions (one grouped, one with bias), norm, ReLU, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, groups=4, bias=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = self.relu(self.norm(self.conv(images)))
        return self.fc(self.pool(self.grouped(x)).flatten(1))


def test_the_tutorials_resnet18_costs_what_the_tutorial_says() -> None:
    """ResNet-18 with a 3×3 stem and no max-pool on 32×32 images: 0.56 G multiply-adds, 11.17 M parameters."""
    net = models.resnet18(weights=None, num_classes=10)
    net.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool = nn.Identity()
    assert count_cost(net, torch.zeros(1, 3, 32, 32)) == Cost(macs=557_216_778, params=11_173_962)


def test_agrees_with_pytorchs_own_counter_but_for_the_small_operations() -> None:
    """The products are those that PyTorch counts; on top come biases, norms, ReLU and pooling."""
    net = ConvNet().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(EXAMPLE)
    products = counter.get_total_flops() // 2  # it counts a multiply-add as two
    normed, grouped = 8 * 16 * 16, 12 * 7 * 7  # elements
    # Norm: scale and shift for each element; ReLU: one each; pooling: one for each input; biases: one for
    # each output. FlopCounterMode counts convolutions and matrix products only.
    small = 2 * normed + normed + grouped + grouped + 5
    assert count_cost(net, EXAMPLE).macs == products + small


def test_counts_every_parameter_once() -> None:
    """Parameters are those of the module, buffers not among them."""
    net = ConvNet()
    assert count_cost(net, EXAMPLE).params == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_model_as_it_was(training) -> None:
    """Counting changes neither mode, nor statistics, nor hooks, nor attributes of the model."""
    net = ConvNet().train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in net.named_modules()}
    count_cost(net, EXAMPLE + 1)
    assert all(module.training == training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert {name: set(vars(module)) for name, module in net.named_modules()} == attributes


def test_counting_twice_gives_the_same() -> None:
    """Nothing is left behind that a second count would add up."""
    net = ConvNet()
    assert count_cost(net, EXAMPLE) == count_cost(net, EXAMPLE)


class ByFunction(ConvNet):
    """The same network, its grouped convolution called as a function."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = self.relu(self.norm(self.conv(images)))
        x = F.conv2d(x, self.grouped.weight, self.grouped.bias, stride=2, groups=4)
        return self.fc(self.pool(x).flatten(1))


def test_what_a_forward_does_by_functions_is_not_counted() -> None:
    """Pins a habit of torch-pruning's counter: `F.conv2d` costs nothing, the module does."""
    convolution = 12 * 7 * 7 * (2 * 9 + 1)  # outputs × (inputs of a group × kernel + bias)
    assert count_cost(ConvNet(), EXAMPLE).macs - count_cost(ByFunction(), EXAMPLE).macs == convolution


def test_a_subclass_of_a_layer_is_not_counted() -> None:
    """Pins another habit: types are compared exactly, so a parametrized convolution costs nothing."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert count_cost(net, EXAMPLE).macs > 0
    nn.utils.parametrizations.weight_norm(net[0])
    assert count_cost(net, EXAMPLE).macs == 0


def test_masked_weights_cost_as_much_as_others() -> None:
    """Zeros in a weight do not make it cheaper: it is multiplied all the same."""
    net, masked = ConvNet(), ConvNet()
    masked.grouped.weight.data[::2] = 0
    assert count_cost(masked, EXAMPLE) == count_cost(net, EXAMPLE)


def test_an_image_that_does_not_fit_gives_one_line() -> None:
    """A network that cannot run on the example is told with the example's shape."""
    with pytest.raises(
        ModelError, match=r"cannot run the model on an image of shape \(1, 1, 16, 16\)"
    ) as caught:
        count_cost(ConvNet(), torch.zeros(1, 1, 16, 16))
    assert "\n" not in str(caught.value)

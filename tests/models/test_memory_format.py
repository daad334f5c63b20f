"""A network lies in memory as the machine prefers, where it runs so and answers the same."""

import random

import pytest
import torch
from torch import nn

from pruning_core.models.memory_format import choose_memory_format, lay_out, name_of
from tests.helpers.factories import Tiny
from tests.helpers.forward_networks import ForwardNetwork
from tests.helpers.strange_networks import NETWORKS, with_conv

IMAGE, CPU = torch.zeros(1, 3, 32, 32), torch.device("cpu")
CONTIGUOUS_IN_TRAINING = {"view", "view of -1", "view in training", "strides"}
CONTIGUOUS = CONTIGUOUS_IN_TRAINING - {"view in training"}


def chosen(network, **how):
    """Return the name of the format that is chosen on the CPU where channels_last is preferred."""
    return name_of(choose_memory_format(network, IMAGE, torch.channels_last, CPU, **how))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_is_for_what_runs_in_it(name, train):
    """A view behind a convolution and a look at strides need contiguous memory; nothing else does."""
    contiguous = CONTIGUOUS_IN_TRAINING if train else CONTIGUOUS
    assert chosen(NETWORKS[name](), train=train) == ("contiguous" if name in contiguous else "channels_last")


def test_a_network_is_left_as_it_was():
    """Trying changes no weight, no statistics, no mode, no gradient, and draws nothing."""
    torch.manual_seed(0)
    network = Tiny().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn, drawn_too = torch.random.get_rng_state(), random.getstate()
    assert chosen(network, train=True, autocast=True) == "channels_last"
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not network.training
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(drawn, torch.random.get_rng_state())
    assert drawn_too == random.getstate()


def test_chance_in_evaluation_decides_nothing():
    """A network that drops features in evaluation, too, answers otherwise each time: that says nothing."""
    network = with_conv(lambda m, x: m.fc(nn.functional.dropout(m.conv(x), 0.5).flatten(1)))
    assert chosen(network) == "channels_last"


def test_what_runs_in_no_format_is_left_to_whoever_runs_it():
    """Nothing is raised here: the error is told where the network is trained or timed."""
    assert chosen(ForwardNetwork(lambda m, x: x.no_such_thing(), fc=nn.Linear(2, 2))) == "contiguous"


def test_contiguous_memory_needs_no_trial():
    """Where the machine prefers contiguous memory, the network is not run."""
    network = ForwardNetwork(lambda m, x: pytest.fail("it ran"), fc=nn.Linear(2, 2))
    assert choose_memory_format(network, IMAGE, torch.contiguous_format, CPU) is torch.contiguous_format


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "image", "expected"),
    [
        (8, 1, 2, 64, "contiguous"),
        (2, 1, 2, 34, "contiguous"),
        (8, 1, 2, 32, "channels_last"),
        (16, 1, 2, 64, "channels_last"),
        (8, 1, 1, 64, "channels_last"),
        (8, 3, 2, 64, "channels_last"),
    ],
)
@pytest.mark.parametrize("functional", [False, True])
def test_a_gradient_that_ends_the_process_is_not_tried(inputs, kernel, stride, image, expected, functional):
    """A 1×1 convolution of stride 2 from a few channels and many pixels is trained in contiguous memory."""

    def run(m, x):
        x = m.conv(x)
        x = nn.functional.conv2d(x, m.down.weight, stride=stride) if functional else m.down(x)
        return m.fc(x.mean((2, 3)))

    down = nn.Conv2d(inputs, 24, kernel, stride, bias=False)
    network = ForwardNetwork(run, conv=nn.Conv2d(3, inputs, 1), down=down, fc=nn.Linear(24, 10))
    shape = torch.zeros(1, 3, image, image)
    assert name_of(choose_memory_format(network, shape, torch.channels_last, CPU, train=True)) == expected
    assert name_of(choose_memory_format(network, shape, torch.channels_last, CPU)) == "channels_last"


def test_only_weights_of_rank_four_are_laid_out():
    """Kernels of 1D and 3D convolutions stay as they are; those of 2D convolutions come back, too."""
    network = nn.ModuleList([nn.Conv1d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.Conv3d(2, 3, 3)])
    lay_out(network, torch.channels_last)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.is_contiguous()
    assert network[2].weight.is_contiguous()
    lay_out(network, torch.contiguous_format)
    assert network[1].weight.is_contiguous()

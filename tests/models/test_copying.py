"""A copy of any network: of those that keep what they computed, too."""

import copy
import functools
import threading

import pytest
import torch
from torch import nn

from pruning_core.errors import ModelError
from pruning_core.models.copying import copy_network, largeness

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """A convolution and a linear layer; subclasses keep things beside them."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.kept = {}

    def forward(self, x):
        self.conv(x)
        return self.fc(self.kept["x"].mean((2, 3)))


class KeepsTensors(Layers):
    """Keeps features on itself, in a list, in a tuple within a tuple and in a dict."""

    def __init__(self):
        super().__init__()
        self.listed = []

    def forward(self, x):
        x = self.conv(x)
        self.feature, self.kept["a"], self.in_tuple = x, {"b": [x]}, (x, (x * 2,))
        self.listed.append(x)
        return self.fc(x.mean((2, 3)))


class HookInInit(Layers):
    """Its hook is a function that was written inside `__init__`."""

    def __init__(self):
        super().__init__()

        def keep(_layer, _inputs, output):
            self.kept["x"] = output

        self.conv.register_forward_hook(keep)


class HookIsMethod(Layers):
    """Its hook is a method."""

    def __init__(self):
        super().__init__()
        self.conv.register_forward_hook(self.keep)

    def keep(self, _layer, _inputs, output):
        self.kept["x"] = output


class HookIsPartial(Layers):
    """Its hook is a partial of a function that was written inside `__init__`."""

    def __init__(self):
        super().__init__()
        hook = functools.partial(lambda name, _layer, _inputs, output: self.kept.update({name: output}), "x")
        self.conv.register_forward_hook(hook)


class StepsInList(Layers):
    """Its forward runs functions of a list; one of them wraps another."""

    def __init__(self):
        super().__init__()
        inner = lambda x: self.conv(x)  # noqa: E731  # a name for it, as in `old = self.forward`
        self.steps = [lambda x: inner(x).mean((2, 3)), lambda x: self.fc(x)]

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


class ForwardReplaced(Layers):
    """The forward of a layer was replaced by a function around it."""

    def __init__(self):
        super().__init__()
        old = self.conv.forward
        self.conv.forward = lambda x: 2 * old(x)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def normed(norm):
    """Return a network whose weights a norm computes."""
    return nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.Flatten(), norm(nn.Linear(144, 5)))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "build",
    [
        KeepsTensors,
        HookInInit,
        HookIsMethod,
        HookIsPartial,
        StepsInList,
        ForwardReplaced,
        functools.partial(normed, nn.utils.weight_norm),
        functools.partial(normed, nn.utils.spectral_norm),
        functools.partial(normed, nn.utils.parametrizations.weight_norm),
        functools.partial(normed, nn.utils.parametrizations.spectral_norm),
    ],
)
def test_a_copy_is_a_network_of_its_own(build):
    """Whatever a trained network keeps: its copy answers as it does, and trains without changing it."""
    network = build()
    network(IMAGES).sum().backward()  # what it keeps is of a graph now
    network.eval()
    answer = network(IMAGES).detach()
    copied = copy_network(network)
    assert torch.equal(copied(IMAGES), answer)
    with torch.no_grad():
        for weight in copied.parameters():
            weight.mul_(1 + torch.rand_like(weight))
    rebuilt = build()
    rebuilt.load_state_dict(copied.state_dict())
    assert torch.allclose(copied(IMAGES), rebuilt.eval()(IMAGES))
    assert not torch.allclose(copied(IMAGES), answer)
    assert torch.equal(network(IMAGES), answer)
    copied.train()(IMAGES).sum().backward()
    copy_network(copied)


def test_what_a_hook_cannot_copy_is_shared():
    """A lock that a hook uses is no state of the network: both networks use it."""
    network, lock = nn.Linear(3, 4), threading.Lock()

    def hook(_layer, _inputs, _output):
        with lock:
            pass

    network.register_forward_hook(hook)
    (copied_hook,) = copy_network(network)._forward_hooks.values()
    assert copied_hook is not hook
    assert copied_hook.__closure__[0].cell_contents is lock


def test_what_cannot_be_copied_is_named():
    """A network that keeps a lock is refused in one line."""
    network = nn.Linear(3, 4)
    network.lock = threading.Lock()
    with pytest.raises(ModelError, match=r"cannot copy the network.*lock"):
        copy_network(network)


def test_copy_of_a_copy():
    """A copy can be copied by `copy.deepcopy`, as torch-pruning does."""
    network = KeepsTensors()
    network(IMAGES)
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(network)
    assert copy.deepcopy(copy_network(network)).feature.shape == (2, 4, 6, 6)


def test_largeness_grows_with_the_weights_from_a_tenth_of_a_gigabyte_on():
    """Limits of time grow with it; on a small network they stay as they are."""
    assert largeness(nn.Linear(4, 4)) == 1
    assert largeness(nn.Linear(5000, 10_000, bias=False, device="meta")) == pytest.approx(2)

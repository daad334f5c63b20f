"""A proof sees what is cut wrongly behind depth, small weights, and units that are never active."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.pruning.calibration import calibrate
from pruning_core.pruning.channel_statistics import WithoutStatistics
from pruning_core.pruning.proof import _Comparison
from pruning_core.pruning.step import prune
from tests.helpers.forward_networks import ForwardNetwork, conv
from tests.helpers.off_by_one import OffByOne

EXAMPLE = torch.zeros(1, 3, 16, 16)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


def pruned(network):
    """Prune half of a copy; return it and its plan."""
    dense = network.eval()
    copied = copy.deepcopy(dense)
    return copied, prune(copied, dense, MethodSpec(), 0.5, EXAMPLE, seed=0)


def flipped_then(depth, **layers):
    """Return a network whose channels change places, and that is deep behind that."""

    def run(network, x):
        return network.head(network.behind(F.relu(network.a(x)).flip(1)).mean((2, 3)))

    blocks = [layer for _ in range(depth) for layer in (conv(16, 16), nn.ReLU())]
    layers = {"a": conv(3, 16), "behind": nn.Sequential(*blocks), "head": nn.Linear(16, 10)} | layers
    return ForwardNetwork(run, **layers)


def never_active():
    """Return such a network with a layer whose outputs are all below zero."""
    network = flipped_then(2)
    nn.init.constant_(network.behind[2].bias, -50.0)
    return network


def far_logits():
    """Return such a network whose logits are a large constant and little else."""
    network = flipped_then(2)
    nn.init.constant_(network.head.bias, 1e5)
    return network


def small_branch():
    """Return a network with a branch of small weights, in which channels change places."""

    def run(network, x):
        x = F.relu(network.stem(x))
        branch = network.c(F.relu(network.b(F.relu(network.a(x)).flip(1))))
        return network.head((x + branch).mean((2, 3)))

    network = ForwardNetwork(
        run, stem=conv(3, 16), a=conv(16, 16), b=conv(16, 16), c=conv(16, 16), head=nn.Linear(16, 10)
    )
    with torch.no_grad():
        for layer in (network.a, network.b, network.c):
            layer.weight.mul_(0.04)
            layer.bias.mul_(0.04)
    return network


HIDING = {
    "depth": lambda: flipped_then(16),
    "never active": never_active,
    "far logits": far_logits,
    "small branch": small_branch,
}
"""Name → a network that hides what becomes of the outputs of `a`."""


@pytest.mark.parametrize("build", HIDING.values(), ids=HIDING)
def test_a_wrong_cut_is_seen_behind_what_hides_it(build):
    """The group whose channels change places keeps its width."""
    network, plan = pruned(build())
    assert network.a.out_channels == 16
    assert "a" in {kept.root for kept in plan.kept_whole}


def inverted_residuals(blocks=12):
    """Return an untrained network in the manner of a MobileNetV2."""
    layers = [conv(3, 8), nn.BatchNorm2d(8), nn.ReLU()]
    for _ in range(blocks):
        layers += [conv(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        layers += [conv(16, 16, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        layers += [conv(16, 8, 1, bias=False), nn.BatchNorm2d(8)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


WRONG = {
    "convolution": (OffByOne("Conv", "in"), {"25"}),
    "norm": (OffByOne("Batchnorm", "both"), set()),
    "depthwise": (OffByOne("DepthwiseConv", "both"), {"0", "9", "17", "25"}),
}
"""Name → what of torch-pruning is made wrong, and the layers in whose groups there is none of that."""


@pytest.mark.parametrize(("double", "sound"), WRONG.values(), ids=WRONG)
def test_an_index_off_by_one_is_seen_in_a_deep_network(double, sound, monkeypatch):
    """Of a deep network that is not trained, only groups without the fault are cut."""
    double.install(monkeypatch)
    if not sound:
        with pytest.raises(PruningError, match="nothing in this model can be pruned"):
            pruned(inverted_residuals(3))
        return
    _, plan = pruned(inverted_residuals(3))
    assert {name for name, kept in plan.widths.items() if kept < plan.dense_widths[name]} == sound


def test_a_deep_network_is_cut_and_proved():
    """Without the fault the same network is cut in all its groups."""
    _, plan = pruned(inverted_residuals())
    assert (plan.proof, plan.kept_whole) == ("exact", ())


def steep_logits():
    """Return a network that makes much of what float32 rounds."""

    def run(network, x):
        x = F.relu(network.b(F.relu(network.a(x))))
        return (1e4 * network.head(x.mean((2, 3)))).sin()

    return ForwardNetwork(run, a=conv(3, 16), b=conv(16, 16), head=nn.Linear(16, 10))


@pytest.mark.parametrize(
    ("build", "whole", "again"),
    [(steep_logits, set(), True), (partial(flipped_then, 2), {"a"}, False)],
    ids=["rounding", "plainly wrong"],
)
def test_float64_decides_where_float32_cannot(build, whole, again, monkeypatch):
    """What may be rounding is compared again; what is far beyond it is not."""
    found, prove = set(), _Comparison.prove

    def proving(comparison):
        found.add(next(comparison._after.parameters()).dtype)
        return prove(comparison)

    monkeypatch.setattr(_Comparison, "prove", proving)
    _, plan = pruned(build())
    assert {kept.root for kept in plan.kept_whole} == whole
    assert (torch.float64 in found) == again


@pytest.mark.parametrize(
    "bounded", [lambda x: F.relu(x).sqrt(), lambda x: (F.leaky_relu(x, 0.0) + 1e-3).log()]
)
def test_what_needs_its_activation_is_proved_with_it(bounded):
    """The root of what is negative, once activations bend less, is no number: then they bend as they do."""

    def run(network, x):
        return network.head(bounded(network.b(F.relu(network.a(x)))).mean((2, 3)))

    network = ForwardNetwork(run, a=conv(3, 16), b=conv(16, 16), head=nn.Linear(16, 10))
    left, plan = pruned(network)
    assert plan.proof == "exact"
    assert not plan.kept_whole
    assert left.b.out_channels == 8


def test_one_statistic_is_left_out_before_all_are(monkeypatch):
    """A deep Swin without its softmax makes anything of what is rounded; its layer norms alone change."""

    def run(network, x):
        x = network.norm(network.a(x).movedim(1, 3))
        return network.head(x.amax((1, 2))) + network.scores(x).flatten(1).softmax(1)[:, :10]

    without, compare = [], _Comparison._difference

    def comparing(comparison, writers, names):
        without.append(set(names))
        return compare(comparison, writers, names)

    monkeypatch.setattr(_Comparison, "_difference", comparing)
    layers = {"norm": nn.LayerNorm(16), "scores": nn.Linear(16, 1), "head": nn.Linear(16, 10)}
    _, plan = pruned(ForwardNetwork(run, a=conv(3, 16), **layers))
    assert plan.proof == "statistics change: layer norm"
    assert without == [set(), set(), {"layer norm"}]


def test_memory_that_runs_out_is_no_finding(monkeypatch):
    """The second comparison needs more than the first: what could not be compared is not said to differ."""
    prove = _Comparison.prove

    def proving(comparison):
        if comparison._double:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return prove(comparison)

    monkeypatch.setattr(_Comparison, "prove", proving)
    with pytest.raises(PruningError, match="allocate memory"):
        pruned(steep_logits())


@pytest.mark.parametrize("activation", [F.relu, partial(F.silu, inplace=True), torch.relu_, nn.GELU()])
def test_activations_can_bend_less(activation):
    """What they get stays as it was; most of it comes out again. Without that, no function is changed."""
    x = torch.linspace(-3, 3, 7)
    bent = activation(x.clone())
    with WithoutStatistics(()):
        assert torch.equal(activation(x.clone()), bent)
    with WithoutStatistics((), calm=True):
        given = x.clone()
        assert torch.allclose(activation(given), 0.8 * x + 0.2 * bent)
        assert torch.equal(given, x)


@pytest.mark.parametrize("layer", [conv(16, 8), nn.ConvTranspose2d(16, 8, 2, 2), conv(16, 16, groups=4)])
def test_each_channel_has_mean_zero_and_deviation_one(layer):
    """Whatever a layer's weights are, its channels vary alike, and a second run says the same."""
    network = nn.Sequential(conv(3, 16), nn.ReLU(), layer).eval()
    images = torch.randn(4, 3, 8, 8)
    calibrate(network, images)
    outputs = network(images).movedim(1, 0).flatten(1)
    assert torch.allclose(outputs.mean(1), torch.zeros(len(outputs)), atol=1e-4)
    assert torch.allclose(outputs.std(1, correction=0), torch.ones(len(outputs)), atol=1e-3)

"""Each penalty's gradient is its formula's, on the weights of channels that can be cut, and no others."""

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models import build_model
from pruning_core.pruning import METHODS, find_method, find_penalty
from pruning_core.pruning.channel_weights import find_channel_groups
from pruning_core.pruning.penalty import spread_of
from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.factories import Tiny
from tests.helpers.penalties import gradients_of, groups_of, half_dead, regularization

PREPARED = [name for name in METHODS if find_penalty(name) is not None]
DECAYING = [name for name in PREPARED if name != "slimming"]
EXAMPLE = torch.zeros(1, 3, 32, 32)


def pushed(name, network, **fields):
    """Return what the penalty of a method adds to the gradients of a network."""
    penalty = regularization(name, network, **fields).penalty_on(network)
    return gradients_of(network, penalty.add_gradients)


def test_three_methods_are_prepared():
    """Each of them ranks as a method without a penalty, and cuts as that one does."""
    assert PREPARED == ["slimming", "group-norm", "growing-reg"]
    for name in PREPARED:
        method = find_method(name)
        assert isinstance(method, type(find_method(method.ranks_as)))
        assert method.library_version() == find_method(method.ranks_as).library_version()


def test_slimming_pushes_each_scale_by_its_sign():
    """The gradient of a scale is strength × sign, also of a negative one; nothing else has one."""
    network = half_dead()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([2.0, -0.5, 0.0, 1.0, 1.0, 1.0]))
    found = pushed("slimming", network, strength=0.25)
    assert found.pop("1.weight").tolist() == [0.25, -0.25, 0.0, 0.25, 0.25, 0.25]
    assert not any(gradient.any() for gradient in found.values())


def test_group_norm_decays_the_smallest_channel_sixteen_times_as_much():
    """By hand: norms 1, 2 and 3 over all layers give factors 16, 4 and 1 of the weights."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Flatten(), nn.Linear(3 * 4, 2, bias=False))
    norms = torch.tensor([1.0, 2.0, 3.0])
    with torch.no_grad():
        network[0].weight.copy_((norms * 0.6).diag()[:, :, None, None])  # 0.6² + 0.8² = 1
        network[2].weight.zero_()
        network[2].weight[0, [0, 4, 8]] = norms * 0.8
    found = pushed("group-norm", network, strength=0.1, example=torch.zeros(1, 3, 2, 2))
    factors = torch.tensor([16.0, 4.0, 1.0])
    torch.testing.assert_close(found["0.weight"][:, :, 0, 0].diagonal(), 0.1 * factors * norms * 0.6)
    torch.testing.assert_close(found["2.weight"][0, [0, 4, 8]], 0.1 * factors * norms * 0.8)
    assert int(found["2.weight"].count_nonzero()) == 3


def test_growing_reg_grows_where_importance_is_small():
    """By hand: squared norms 1, 3 and 5; after two epochs they have 5, 3 and 1 strengths."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Flatten(), nn.Linear(12, 2, bias=False))
    squares = torch.tensor([1.0, 3.0, 5.0])
    with torch.no_grad():
        network[0].weight.copy_(squares.sqrt().diag()[:, :, None, None])
        network[2].weight.zero_()
    told = regularization("growing-reg", network, 0.1, growth=2.0, example=torch.zeros(1, 3, 2, 2))
    penalty = told.penalty_on(network)
    for epochs in range(3):
        strengths = 0.1 * (1 + epochs * torch.tensor([2.0, 1.0, 0.0]))
        found = gradients_of(network, penalty.add_gradients)["0.weight"][:, :, 0, 0].diagonal()
        torch.testing.assert_close(found, strengths * squares.sqrt())
        penalty.end_epoch()


@pytest.mark.parametrize("name", PREPARED)
@pytest.mark.parametrize("model", ["resnet20", "mobilenet_v2"])
def test_gradients_are_those_of_torch_pruning(name, model):
    """On a residual network and on a depthwise one, weight by weight, but for batch norms in growing-reg.

    There torch-pruning adds to a copy of the gradient. Ours is as its paper has it: strength × weight.
    """
    network = build_model(model, 10, (3, 32, 32)).train()
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, -1, 1)
    ours = pushed(name, network, strength=1e-2, growth=0.0)
    heads = [
        layer for layer in network.modules() if isinstance(layer, nn.Linear) and layer.out_features == 10
    ]
    options = {"reg": 1e-2, "ignored_layers": heads}
    l2 = tp.importance.GroupMagnitudeImportance(p=2)
    kinds = {
        "slimming": lambda: tp.pruner.BNScalePruner(
            network, EXAMPLE, tp.importance.BNScaleImportance(), **options
        ),
        "group-norm": lambda: tp.pruner.GroupNormPruner(network, EXAMPLE, l2, **options),
        "growing-reg": lambda: tp.pruner.GrowingRegPruner(network, EXAMPLE, l2, **options),
    }
    pruner = kinds[name]()
    theirs = gradients_of(network, lambda: pruner.regularize(network))
    norms = {f"{n}.weight" for n, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert any(gradient.any() for gradient in ours.values())
    for parameter, gradient in ours.items():
        if name == "growing-reg" and parameter in norms:
            assert not theirs[parameter].any()
            weight = network.get_parameter(parameter).detach()
            torch.testing.assert_close(gradient, 1e-2 * weight)
        else:
            torch.testing.assert_close(gradient, theirs[parameter])


@pytest.mark.parametrize("name", PREPARED)
@pytest.mark.parametrize("fields", [{"protect": ("inner",)}, {"ratio_of": (("inner", 0.0),)}])
def test_what_is_protected_is_not_pushed(name, fields):
    """A layer that stays whole, and what only it has, gets no gradient of a penalty; others go on."""
    free, kept = pushed(name, Tiny(), growth=0.0), pushed(name, Tiny(), growth=0.0, **fields)
    assert free["inner_norm.weight"].all()
    assert not kept["inner_norm.weight"].any()
    assert kept["norm.weight"].all()
    assert not kept["fc.bias"].any()


@pytest.mark.parametrize("name", PREPARED)
def test_what_is_too_narrow_for_a_cut_is_not_pushed(name):
    """Rounded to as many channels as there are, a group keeps its width, and its weights their gradients."""
    found = pushed(name, Tiny(), growth=0.0, round_to=16)
    assert not found["norm.weight"].any()
    assert found["inner_norm.weight"].all()


@pytest.mark.parametrize("name", DECAYING)
def test_channels_that_go_together_are_pushed_alike(name):
    """Of a grouped convolution, partners in its groups have one strength: they can only go together."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.Conv2d(8, 8, 3, groups=2, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 28**2, 10),
    )
    penalty = regularization(name, network).penalty_on(network)
    penalty.end_epoch()
    group = next(group for group in penalty.groups if group.root == "0")
    norms = group.squared_norms()
    torch.testing.assert_close(norms[:4], norms[4:])
    gradient = gradients_of(network, penalty.add_gradients)["0.weight"] / network[0].weight.detach()
    torch.testing.assert_close(gradient[:4], gradient[4:])
    assert gradient.all()


@pytest.mark.parametrize("model", ["resnet20", "mobilenet_v2"])
def test_norms_are_what_magnitude_ranks_by(model):
    """Each group's squared norms are in proportion to the scores that the cut goes by."""
    network = build_model(model, 10, (3, 32, 32))
    seen = {}
    importance = find_method("magnitude").importance()

    def noted(group):
        seen[group[0].dep.target.module] = scores = importance(group)
        return scores

    groups = find_channel_groups(network, MethodSpec(name="group-norm"), EXAMPLE, noted)
    penalty = find_penalty("group-norm")(network, groups, 1.0, 0.0)
    scores = [scores for scores in seen.values() if scores is not None]
    for group in penalty.groups:
        norms = group.squared_norms().detach()
        norms = norms / norms.mean()
        assert any(len(s) == len(norms) and torch.allclose(s, norms, rtol=1e-4) for s in scores)


def test_a_frozen_weight_is_left_alone():
    """A weight without a gradient has none after the penalty either."""
    network = half_dead()
    penalty = regularization("group-norm", network).penalty_on(network)
    for parameter in network.parameters():
        parameter.grad = None
    with torch.no_grad():
        penalty.add_gradients()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_equal_channels_have_no_spread():
    """Where all scores are alike none is pushed more than the strength, and none becomes no number."""
    assert spread_of(torch.ones(3)).tolist() == [0, 0, 0]
    assert spread_of(torch.tensor([1.0, 2.0, 5.0])).tolist() == [1, 0.75, 0]


def test_slimming_refuses_a_network_without_scales():
    """In one line that says which methods need none."""
    check = find_penalty("slimming").check
    for network, why in (
        (nn.Sequential(nn.Conv2d(3, 8, 3)), "no batch norm"),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False)), "none that scales"),
    ):
        with pytest.raises(PruningError, match=f"{why}; take group-norm or growing-reg"):
            check(network)


def test_shared_weights_are_pushed_once():
    """Two layers of one weight have it in their group once for each dimension."""

    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.one, self.two = (nn.Conv2d(3 + 5 * (n > 0), 8, 3, padding=1) for n in range(3))
            self.two.weight = self.one.weight
            self.fc = nn.Linear(8, 10)

        def forward(self, images):
            x = torch.relu(self.stem(images))
            return self.fc(torch.relu(self.one(x) + self.two(x)).mean((2, 3)))

    groups = groups_of("group-norm", Twins())
    names = [sorted((each.name, each.dimension) for each in group.weights) for group in groups]
    assert sorted(names) == [[("fc.weight", 1), ("one.weight", 0)], [("one.weight", 1), ("stem.weight", 0)]]

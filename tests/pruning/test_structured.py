"""Structured methods: the widths of chains, and what torch-pruning does unasked."""

import copy

import pytest
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError, UnknownNameError
from pruning_core.models import build_model
from pruning_core.models.inspect import find_heads
from pruning_core.pruning import METHODS, find_method, structured
from pruning_core.pruning.base import PruningStep
from pruning_core.pruning.channel_plan import layer_widths
from pruning_core.pruning.loading import load_pruned
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.factories import Tiny, tiny_method
from tests.helpers.losses import losses_for
from tests.helpers.mask_networks import build_tiny

EXAMPLE = torch.zeros(1, 3, 32, 32)


def prune_tiny(network, ratio, name="magnitude", **fields):
    """Prune the small network to a ratio of its dense widths."""
    if ratio and name == "semi-structured":
        ratio = 0.5  # it has no other
    spec = tiny_method(name, ratio, **fields)
    return prune(network, build_tiny(), spec, ratio, EXAMPLE, seed=0, losses=losses_for(name))


CASES = [(name, scope) for name, method in METHODS.items() for scope in method.scopes]


def test_magnitude_removes_the_smallest_group():
    """The channels that go are those with the smallest norm over all layers that depend on them."""
    network = build_tiny()
    with torch.no_grad():
        for channel in (3, 8, 9, 15, 21, 30):
            network.inner.weight[channel] *= 1e-3
            network.outer.weight[:, channel] *= 1e-3
    kept_before = network.inner.weight.detach().clone()
    prune_tiny(network, 6 / 32, round_to=1)
    gone = {3, 8, 9, 15, 21, 30}
    stays = [c for c in range(32) if c not in gone]
    # The inputs of `inner` were pruned too: compare what is left of each channel by its index.
    assert network.inner.out_channels == 26
    for row, channel in enumerate(stays):
        assert network.inner.weight[row].norm() > 0.5 * kept_before[channel].norm()


def test_the_network_and_what_is_searched_hold_their_weights_once(monkeypatch):
    """Of the largest networks one copy more does not fit into memory."""
    network = build_tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    class Looking(structured.CutSearch):
        def __init__(self, work, *given):
            super().__init__(work, *given)
            for name, tensor in network.state_dict().items():
                assert tensor.data_ptr() == work.state_dict()[name].data_ptr()

        def run(self):
            super().run()
            assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
            assert self.best is not None

    monkeypatch.setattr(structured, "CutSearch", Looking)
    prune_tiny(network, 0.5)
    assert network.inner.out_channels == 16


class TestLamp:
    """`lamp`: which channels go, and from where."""

    def test_layers_keep_as_many_whatever_their_width_and_scale(self):
        """Wide layers lose most; what a layer keeps does not follow how large its weights are."""
        network = build_model("resnet18", 10, (3, 32, 32))
        with torch.no_grad():
            network.layer4[1].conv1.weight *= 1e-3
        dense = copy.deepcopy(network)
        prune(network, dense, MethodSpec(name="lamp", scope="global"), 0.75, EXAMPLE, seed=0)
        kept = [layer.out_channels for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
        assert 50 <= min(kept) <= max(kept) <= 64  # of 64 to 512; uniformly it would be 16 to 128

    def test_no_layer_is_emptied(self):
        """At a ratio at which all but two of a hundred channels go, each layer has some left."""
        network = build_model("resnet18", 10, (3, 32, 32))
        dense = copy.deepcopy(network)
        plan = prune(network, dense, MethodSpec(name="lamp", scope="global"), 0.98, EXAMPLE, seed=0)
        assert plan.achieved_ratio > 0.95
        assert min(plan.widths.values()) >= 2
        assert max(width for name, width in plan.widths.items() if name != "fc") <= 8

    def test_within_a_layer_the_smallest_go(self):
        """Channels that are far smaller than the others of their layer are the first to go."""
        network = build_tiny()
        small = {3, 8, 9, 15, 21, 30}
        with torch.no_grad():
            for channel in small:
                network.inner.weight[channel] *= 1e-3
                network.outer.weight[:, channel] *= 1e-3
            network.inner_norm.bias.copy_(torch.arange(32))  # names the channels; biases are not ranked
        prune_tiny(network, 0.125, name="lamp", scope="global", round_to=1)  # 6 of 48
        assert network.stem.out_channels == 16
        assert set(range(32)) - set(network.inner_norm.bias.int().tolist()) == small


def test_random_is_another_choice_than_magnitude():
    """The control does not follow the norms."""
    by_norm, by_chance = build_tiny(), build_tiny()
    prune_tiny(by_norm, 0.5)
    prune_tiny(by_chance, 0.5, name="random")
    assert layer_widths(by_norm) == layer_widths(by_chance)
    assert not torch.equal(by_norm.inner.weight, by_chance.inner.weight)


def test_unknown_method():
    """A wrong name gets the closest one."""
    with pytest.raises(UnknownNameError, match=r"no pruning method 'magnitud'\. Did you mean 'magnitude'"):
        find_method("magnitud")


class CutOff(Tiny):
    """Hides its layers from autograd, and so from torch-pruning."""

    def forward(self, images):
        return (super().forward(images) > 0).float()


class Broken(Tiny):
    """Fails when it is traced."""

    def forward(self, images):
        if images.shape[0] == 1:
            raise ValueError("needs more than one image")
        return super().forward(images)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            CutOff,
            "can be pruned to 0.5. stem, inner, outer: autograd does not reach it",
        ),
        (Broken, "cannot prune this model: ValueError: needs more than one"),
    ],
)
def test_a_model_that_cannot_be_traced_is_one_line(kind, expected):
    """What torch-pruning cannot follow is said, never taken for a step that had nothing to remove."""
    step = PruningStep(MethodSpec(), 0.5, kind(), EXAMPLE, protected={"fc": "it makes the logits"}, seed=0)
    with pytest.raises(PruningError, match=expected):
        METHODS["magnitude"].prune(kind(), step)


IMPORTANCES = {"magnitude": tp.importance.MagnitudeImportance, "lamp": tp.importance.LAMPImportance}


def uninterrupted(network, steps, method):
    """Prune as torch-pruning's own iterative pruner does, one pruner for the whole chain."""
    classifier = dict(network.named_modules())[find_heads(network, EXAMPLE)[0]]
    pruner = tp.BasePruner(
        network,
        EXAMPLE,
        importance=IMPORTANCES[method.name](p=2),
        pruning_ratio=1.0,
        iterative_steps=steps,
        ignored_layers=[classifier],
        round_to=2,
        global_pruning=method.scope != "local",
        isomorphic=method.scope == "isomorphic",
        in_channel_groups={},
        out_channel_groups={},
        num_heads={},
        channel_groups={},
    )
    for _ in range(steps):
        pruner.step()
        yield layer_widths(network)


@pytest.mark.parametrize(("method", "scope"), [case for case in CASES if case[0] in IMPORTANCES])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_chain_resumed_at_every_step_has_the_same_widths(name, method, scope):
    """A new pruner at each step, on a network rebuilt from plan and weights, goes the way of one pruner."""
    steps = 4
    spec = MethodSpec(name=method, scope=scope)
    dense = build_model(name, 10, (3, 32, 32))
    expected = list(uninterrupted(copy.deepcopy(dense), steps, spec))
    network = copy.deepcopy(dense)
    for step in range(steps):
        ratio = (step + 1) / steps
        plan = prune(network, dense, spec, ratio, EXAMPLE, seed=0)
        assert layer_widths(network) == expected[step]
        network = load_pruned(copy.deepcopy(dense), plan, network.state_dict())


def test_requested_widths_are_kept_beside_achieved_ones():
    """The plan says what was asked for, before rounding, and what was achieved."""
    plan = prune_tiny(build_tiny(), 0.4, round_to=4)
    assert (plan.layers["inner"].requested_outputs, plan.layers["inner"].outputs) == (19, 16)
    assert plan.layers["fc"].requested_outputs is None


def test_torch_pruning_skips_a_group_that_would_lose_all():
    """Pins torch-pruning: at ratio 1 nothing happens, silently; our exhausted steps rely on it."""
    network = build_tiny()
    prune_tiny(network, 1.0)
    assert layer_widths(network) == layer_widths(build_tiny())


def test_torch_pruning_takes_ratios_relative_to_its_first_sight():
    """Pins torch-pruning: without the dense widths, a second pruner would take half of the half."""
    network = build_tiny()
    for ratio in (0.5, 0.5):
        pruner = tp.BasePruner(
            network,
            EXAMPLE,
            importance=tp.importance.MagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[network.fc],
            in_channel_groups={},
            out_channel_groups={},
        )
        pruner.step()
    assert network.inner.out_channels == 8
    ours = build_tiny()
    prune_tiny(ours, 0.5)
    prune_tiny(ours, 0.5)
    assert ours.inner.out_channels == 16


def test_torch_pruning_shares_default_dicts():
    """Pins torch-pruning: a dict default is one object for all pruners, so we always pass new ones."""
    defaults = tp.BasePruner.__init__.__defaults__
    assert sum(isinstance(value, dict) for value in defaults) >= 3


def test_torch_pruning_still_has_what_we_set():
    """Pins torch-pruning: the private record of first widths that a resumed chain needs."""
    pruner = tp.BasePruner(build_tiny(), EXAMPLE, importance=tp.importance.MagnitudeImportance(p=2))
    assert pruner._scope_initial_channels == {}

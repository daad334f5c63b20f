"""Frozen layers are pruned as if they were not, and stay frozen: in training, and after loading."""

import sys

import pytest
import torch

from pruning_core.chain.networks import load_network
from pruning_core.config.spec import MethodSpec, TrainSpec
from pruning_core.errors import TrainingError
from pruning_core.pruning import METHODS
from pruning_core.pruning.loading import load_pruned
from pruning_core.pruning.step import prune
from pruning_core.suites.training_speed import BaselineStep
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from tests.helpers.factories import Tiny, bright_images, tiny_method
from tests.helpers.losses import losses_for
from tests.helpers.small_runs import grid_of, make_all, open_workspace

EXAMPLE = torch.zeros(1, 3, 32, 32)
BODY = """
from tests.helpers.factories import Tiny
def build(classes, channels):
    network = Tiny(classes, channels)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_({trained})
    return network
"""


def build(frozen=()):
    """Build the small network from one seed, layers whose names begin so frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Tiny()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(frozen)))
    return network


def frozen_of(network):
    """Return the names of frozen parameters."""
    return [name for name, parameter in network.named_parameters() if not parameter.requires_grad]


FROZEN = (("stem", "norm"), ("inner",), ("stem", "norm", "inner", "outer"), ("",))


@pytest.mark.parametrize("frozen", FROZEN, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_a_frozen_layer_is_pruned_as_any(name, frozen):
    """Whatever is frozen, the same channels and weights go; the same parameters are frozen afterwards."""
    method = tiny_method(name, 0.5, scope=METHODS[name].scopes[0])
    networks = []
    for which in ((), frozen):
        network = build(which)
        plan = prune(network, build(which), method, 0.5, EXAMPLE, seed=0, losses=losses_for(name))
        networks.append((network, plan))
    (free, free_plan), (cut, plan) = networks
    assert plan == free_plan
    for a, b in zip(free.state_dict().values(), cut.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert frozen_of(cut) == frozen_of(build(frozen))
    assert frozen_of(free) == []
    loaded = load_pruned(build(frozen), plan, cut.state_dict())
    assert frozen_of(loaded) == frozen_of(build(frozen))


def test_pruning_leaves_the_dense_network_frozen():
    """The network that ratios are relative to stays as it was."""
    dense = build(("stem",))
    prune(build(("stem",)), dense, MethodSpec(), 0.5, EXAMPLE, seed=0)
    assert frozen_of(dense) == ["stem.weight"]


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_training_leaves_frozen_weights(optimizer):
    """Frozen weights do not move, by weight decay neither; the others do."""
    network = build(("stem", "inner"))
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    spec = TrainSpec(epochs=1, batch_size=20, precision="fp32", device="cpu", optimizer=optimizer)
    train(network, Classification(bright_images()), spec)
    moved = {
        name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])
    }
    assert moved == set(before) - set(frozen_of(network))


def test_a_chain_leaves_frozen_weights(tmp_path, monkeypatch):
    """From dense through pruning and fine-tuning, frozen weights are as built, or are cut."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "frozen_nets.py").write_text(BODY.format(trained="not name.startswith('outer')"))
    checkpoints = make_all(grid_of("frozen_nets:build", ratios="0.5,0.75"), open_workspace(tmp_path))
    networks = [load_network(checkpoint) for checkpoint in checkpoints]
    assert all(frozen_of(network) == ["outer.weight", "outer.bias"] for network in networks)
    dense = {float(value) for value in networks[0].outer.weight.detach().flatten()}
    for network in networks[1:]:
        assert {float(value) for value in network.outer.weight.detach().flatten()} < dense
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = Tiny()
    assert torch.equal(networks[0].outer.weight, built.outer.weight)
    assert not torch.equal(networks[0].inner.weight, built.inner.weight)


def test_a_network_that_is_frozen_whole_is_one_line():
    """Where nothing can be trained, that is said, with what to do; without training it works."""
    spec = TrainSpec(epochs=1, batch_size=20, precision="fp32", device="cpu")
    with pytest.raises(TrainingError, match="nothing in this network can be trained") as caught:
        train(build(("",)), Classification(bright_images()), spec)
    assert "\n" not in str(caught.value)
    with pytest.raises(TrainingError, match="nothing in this network can be trained"):
        BaselineStep(build(("",)), bright_images(), spec)()
    train(build(("",)), Classification(bright_images()), spec.model_copy(update={"epochs": 0}))

"""Checkpoints of earlier versions, whose plans hold the widths of layers alone, answer as they did."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from pruning_core.chain.networks import build_network, example_of, load_network
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.grid import read_grid
from pruning_core.config.spec import MethodSpec
from pruning_core.errors import DamagedCheckpointError
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan
from pruning_core.pruning.loading import load_pruned
from pruning_core.pruning.step import prune
from pruning_core.store import Store
from pruning_core.workspace import Workspace
from tests.helpers.forward_networks import ForwardNetwork, conv

EARLIER = Path(__file__).parents[1] / "data" / "store_of_earlier_plans"
"""A store that the version before wrote."""

KEYS = sorted(folder.name for folder in EARLIER.iterdir() if folder.is_dir())


@pytest.fixture
def said():
    """Collect what the store says."""
    return []


@pytest.fixture
def store(tmp_path, monkeypatch, said):
    """Open a copy of the store, beside the network that is in it."""
    shutil.copytree(EARLIER, tmp_path / "store", ignore=shutil.ignore_patterns("*.py", "*.md", "*.toml"))
    shutil.copy(EARLIER / "earlier_nets.py", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Store(tmp_path / "store", notify=said.append)


@pytest.mark.parametrize("key", KEYS)
def test_an_earlier_checkpoint_answers_as_it_did(store, said, key):
    """Dense, cut, exhausted and masked: each is sound, loads, and gives the logits that were stored."""
    checkpoint = store.load(key)
    assert checkpoint.plan.tensors is None
    load_network(checkpoint)
    assert said == []


def test_what_was_cut_before_is_as_wide_as_it_was(store):
    """The widths of an earlier plan are those of its network, blocks of a depthwise convolution too."""
    (network,) = (
        load_network(checkpoint)
        for checkpoint in map(store.load, KEYS)
        if checkpoint.spec.stage == "pruned" and checkpoint.spec.method.name == "magnitude"
        if not checkpoint.metrics.exhausted
    )
    outputs = {at: network[at].weight.shape[0] for at in (0, 1, 2, 3, 8, 9, 13, 14)}
    assert outputs == {0: 4, 1: 4, 2: 4, 3: 4, 8: 4, 9: 4, 13: 8, 14: 8}
    assert network[6].weight.shape[:2] == (4, 6)
    assert network[3].groups == 4


def test_dense_and_masked_are_found_and_what_was_cut_has_another_key(store, said):
    """Nothing is trained again but what would be cut otherwise now."""
    workspace, grid = Workspace(store, ProgressDisplay()), read_grid(EARLIER / "grid.toml")
    found = {
        variant.method: workspace.find(chain_specs(variant, grid, workspace)[-1]) is not None
        for variant in variants(grid)
        if variant.ratio <= 0.5
    }
    assert found == {"dense": True, "magnitude": False, "unstructured-l1": True}
    assert said == []


def test_a_dense_network_of_an_earlier_store_is_cut_and_the_plan_knows_what_is_kept(store):
    """Its plan says nothing of tensors, and nothing was cut: so the indices kept are those of this cut."""
    (parent,) = (checkpoint for checkpoint in map(store.load, KEYS) if checkpoint.spec.stage == "dense")
    dense = build_network(parent.spec)
    network, example = load_network(parent), example_of(parent.spec)
    plan = prune(network, dense, MethodSpec(), 0.5, example, seed=0, earlier=parent.plan)
    assert plan.proof
    assert plan.tensors
    assert all(plan.kept_indices(name) for name in plan.tensors)


def earlier_plan(network):
    """Return a plan as the version before wrote it: of the network's convolutions and linear layers alone."""
    plan = make_plan(network, network)
    layers = {  # of transposed convolutions it did not look at the groups
        name: layer.model_copy(update={"groups": 1}) if layer.kind.startswith("ConvTranspose") else layer
        for name, layer in plan.layers.items()
    }
    return ChannelPlan(layers=layers)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_groups_of_a_transposed_convolution_are_those_of_its_weight(groups):
    """Earlier plans say 1, whatever they are."""
    networks = [nn.Sequential(conv(3, 8), nn.ConvTranspose2d(8, 8, 2, 2, groups=groups)) for _ in range(2)]
    load_pruned(networks[1], earlier_plan(networks[0]), networks[0].state_dict())
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(networks[0](images), networks[1](images))


def test_a_transposed_convolution_of_no_whole_number_of_groups_is_damaged():
    """A weight that fits no number of groups is no weight of this plan."""
    network = nn.Sequential(conv(3, 8), nn.ConvTranspose2d(8, 8, 2, 2))
    weights = {**network.state_dict(), "1.weight": torch.zeros(8, 3, 2, 2)}
    with pytest.raises(DamagedCheckpointError, match=r"layer '1': the plan says \(8, 4\)"):
        load_pruned(network, earlier_plan(network), weights)


def two_alike(tied):
    """Return a network of two convolutions, which share one weight or do not."""
    network = ForwardNetwork(lambda m, x: m.b(m.a(x)), a=conv(3, 3), b=conv(3, 3))
    if tied:
        network.b.weight = network.a.weight
    return network


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_weight_that_was_cut_in_two_is_two(tied):
    """Earlier versions took the layers that share a weight apart; what they stored is what runs."""
    stored, network = two_alike(tied), two_alike(tied=True)
    load_pruned(network, earlier_plan(stored), stored.state_dict())
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(stored(images), network(images))
    assert (network.a.weight is network.b.weight) == tied


def test_an_earlier_plan_does_not_know_what_was_kept():
    """Of a network that is cut already no indices are known; of a dense one all are kept."""
    dense, cut = conv(3, 8), conv(3, 4)
    assert ChannelPlan(layers=make_plan(dense, dense).layers).kept_indices("weight") == ()
    assert ChannelPlan(layers=make_plan(dense, cut).layers).kept_indices("weight") is None

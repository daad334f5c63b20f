"""Layers that run in training alone, and those behind which nothing is trained, are cut with the others."""

import contextlib
import copy

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.step import prune
from tests.helpers.forward_networks import ForwardNetwork, conv

EXAMPLE = torch.zeros(1, 3, 16, 16)


def pruned(run, **layers):
    """Return a network of convolutions of 8 outputs and a classifier, half pruned, and its plan."""
    torch.manual_seed(0)
    network = ForwardNetwork(run, a=conv(3, 8), b=conv(8, 8), c=conv(8, 8), out=nn.Linear(8, 10), **layers)
    dense = copy.deepcopy(network)
    return network, prune(network, dense, MethodSpec(), 0.5, EXAMPLE, seed=0)


def with_head(network, x):
    """Run a network that has an auxiliary head in training."""
    x = network.a(x).relu()
    answer = network.out(network.b(x).relu().mean((2, 3)))
    return (answer, network.aux(network.c(x).mean((2, 3)))) if network.training else answer


def test_auxiliary_heads_are_cut_with_what_they_read():
    """A head that runs in training alone still runs; its own logits keep their number."""
    network, plan = pruned(with_head, aux=nn.Linear(8, 10))
    assert {name: plan.widths[name] for name in ("a", "b", "c", "aux")} == {"a": 4, "b": 4, "c": 4, "aux": 10}
    assert [(kept.root, kept.reason) for kept in plan.kept_whole] == [("aux", "it makes logits in training")]
    assert [answer.shape for answer in network.train()(EXAMPLE)] == [(1, 10), (1, 10)]


def test_a_cut_that_training_does_not_survive_is_not_made():
    """What only the layers of training cannot do without keeps its width."""

    def run(network, x):
        x = network.a(x).relu()
        answer = network.out(network.b(x).relu().mean((2, 3)))
        return (answer, network.aux(x.view(len(x), 8, -1).mean(2))) if network.training else answer

    network, plan = pruned(run, aux=nn.Linear(8, 10))
    assert (plan.widths["a"], plan.widths["b"]) == (8, 4)
    assert "a" in {kept.root for kept in plan.kept_whole}
    assert [answer.shape for answer in network.train()(EXAMPLE)] == [(1, 10), (1, 10)]


@pytest.mark.parametrize("cut_off", ["detach", "data", "no_grad"])
def test_what_is_not_trained_is_cut(cut_off):
    """Layers before `detach()`, `.data` and in `no_grad()` lose channels as others do."""

    def run(network, x):
        x = network.a(x).relu()
        with torch.no_grad() if cut_off == "no_grad" else contextlib.nullcontext():
            gate = network.c(network.b(x)).sigmoid()
        gate = {"detach": gate.detach(), "data": gate.data}.get(cut_off, gate)
        return network.out((x * gate).mean((2, 3)))

    _, plan = pruned(run)
    assert {name: plan.widths[name] for name in "abc"} == {"a": 4, "b": 4, "c": 4}
    assert plan.proof == "exact"
    assert plan.kept_whole == ()

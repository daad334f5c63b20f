"""What is pruned of any kind of network comes back out of a store: shared layers once, tied weights tied."""

import dataclasses

import pytest
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.models.copying import copy_network
from pruning_core.pruning.loading import load_pruned, stored_tensors
from pruning_core.pruning.step import prune
from pruning_core.store import Store
from tests.helpers.factories import dense_spec, made
from tests.helpers.kinds_of_networks import IMAGE, KINDS

IMAGES = torch.randn(3, *IMAGE, generator=torch.Generator().manual_seed(3))


def built(name, seed):
    """Build a network, its weights decided by a seed."""
    torch.manual_seed(seed)
    return KINDS[name][0]().eval()


def ties(network):
    """Return the names that stand for one tensor, for each tensor that has several."""
    names = {}
    for name, tensor in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
    return sorted(same for same in names.values() if len(same) > 1)


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("one convolution in two blocks", 2),
        ("one block thrice", 4),
        ("tied weights", 1),
        ("version of a state", 0),
        ("transposed, depthwise", 0),
        ("transposed, grouped", 0),
        ("maxout", 0),
        ("weight norm", 0),
        ("vision transformer", 0),
        ("recurrent", 0),
    ],
)
def test_a_pruned_network_comes_back(tmp_path, name, shared):
    """Another process builds it from what is stored: it answers the same, and what was one tensor is one."""
    dense = built(name, 0)
    network = copy_network(dense)
    plan = prune(network, dense, MethodSpec(), 0.5, torch.zeros(1, *IMAGE), seed=0)
    content = dataclasses.replace(made(), plan=plan, weights=stored_tensors(network))
    Store(tmp_path / "store").get_or_make(dense_spec(), lambda _: content)
    checkpoint = Store(tmp_path / "store").find(dense_spec())
    weights = checkpoint.weights()
    assert len(weights) == len({id(tensor) for tensor in network.state_dict(keep_vars=True).values()})
    loaded = load_pruned(built(name, 1), checkpoint.plan, weights).eval()
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES), network(IMAGES))
    assert ties(loaded) == ties(network) == ties(dense)
    assert len(ties(loaded)) == shared

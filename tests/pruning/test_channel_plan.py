"""The channel plan: what changed, and that plan, weights and network belong together."""

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import DamagedCheckpointError, PruningError
from pruning_core.pruning.base import Outcome
from pruning_core.pruning.channel_plan import make_plan
from pruning_core.pruning.loading import load_pruned
from pruning_core.pruning.step import prune
from tests.helpers.factories import Tiny, tiny_plan

ROWS = torch.tensor([0, 2, 3, 7])
OUTCOME = Outcome(
    kept={"table.weight": (ROWS, torch.arange(3))}, attributes={"table": {"num_embeddings": (8, 4)}}
)


def pruned_tiny():
    """Return a pruned small network and its plan."""
    torch.manual_seed(0)
    network = Tiny()
    return network, prune(network, Tiny(), MethodSpec(), 0.5, torch.zeros(1, 3, 32, 32), seed=0)


def test_a_plan_says_dense_and_kept_widths():
    """Every layer whose widths may change stands in the plan, with what it had and what it keeps."""
    _, plan = pruned_tiny()
    inner = plan.layers["inner"]
    assert (inner.dense_inputs, inner.inputs, inner.dense_outputs, inner.outputs) == (16, 8, 32, 16)
    assert plan.widths == {"stem": 8, "inner": 16, "outer": 8, "fc": 10}
    assert plan.dense_widths == {"stem": 16, "inner": 32, "outer": 16, "fc": 10}
    assert plan.achieved_ratio == 0.5
    assert tiny_plan().achieved_ratio == 0


def test_a_plan_for_another_network():
    """A plan that names a layer the network lacks is refused."""
    network, plan = pruned_tiny()
    with pytest.raises(DamagedCheckpointError, match=r"'stem' .* is not in this model"):
        load_pruned(nn.Sequential(nn.Linear(3, 3)), plan, network.state_dict())


def test_weights_of_another_plan():
    """Weights whose shapes are not the plan's are refused, with the layer's name."""
    _, plan = pruned_tiny()
    with pytest.raises(
        DamagedCheckpointError,
        match=r"'stem.weight': the plan says \(8, 3, 3, 3\) of .*, the weights are \(16, 3",
    ):
        load_pruned(Tiny(), plan, Tiny().state_dict())


def test_weights_with_a_missing_tensor():
    """A tensor that is missing is found when the weights are loaded."""
    network, plan = pruned_tiny()
    weights = {name: tensor for name, tensor in network.state_dict().items() if name != "outer.bias"}
    with pytest.raises(DamagedCheckpointError, match=r"outer\.bias"):
        load_pruned(Tiny(), plan, weights)


def test_a_plan_describes_layers_of_any_kind():
    """What changed is told by tensors and numbers, so a table of embeddings needs no code of its own."""

    class WithEmbedding(Tiny):
        def __init__(self, rows):
            super().__init__()
            self.table = nn.Embedding(rows, 3)

    plan = make_plan(WithEmbedding(8), WithEmbedding(4), OUTCOME)
    assert plan.attributes == {"table": {"num_embeddings": (8, 4)}}
    assert plan.tensors["table.weight"].shape == (4, 3)
    assert plan.kept_indices("table.weight")[0].tolist() == ROWS.tolist()
    again = load_pruned(WithEmbedding(8), plan, WithEmbedding(4).state_dict())
    assert again.table.num_embeddings == 4


def test_a_network_of_other_layers_is_refused():
    """A plan compares a network with its dense one; another network is an error."""
    with pytest.raises(PruningError, match="does not have the layers of the dense one"):
        make_plan(Tiny(), nn.Sequential(nn.Linear(3, 3)))

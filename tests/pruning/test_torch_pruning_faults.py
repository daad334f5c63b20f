"""Faults of torch-pruning, pinned: a test that fails here says that a new version mends one.

What each is, where, and what we do: `results/notes/torch-pruning.md`.
That our results are right all the same: `test_right_despite_torch_pruning.py`.
"""

import copy
from pickle import UnpicklingError

import pytest
import torch
from torch import nn

from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv
from tests.helpers.torch_pruning_alone import EXAMPLE, MAGNITUDE, TOKENS, graph_of, group_of, prune, pruner_of


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


class TestWidths:
    """How many channels a pruner removes."""

    @pytest.mark.parametrize("options", [{"pruning_ratio": 1.0}, {"pruning_ratio": 0.5, "round_to": 16}])
    def test_a_group_that_would_be_emptied_is_skipped_silently(self, options):
        """24 channels stay 24 where the ratio, or rounding down, leaves none."""
        network = nn.Sequential(conv(3, 24), nn.ReLU(), conv(24, 5))
        prune(network, ignored_layers=[network[2]], **options)
        assert network[0].out_channels == 24

    def test_round_to_counts_one_block_and_subtracts_it_from_all(self):
        """A quarter of 16 channels in 4 blocks is 4; with `round_to` 2 it removes 8."""
        network = nn.Sequential(conv(3, 16), conv(16, 16, groups=4), conv(16, 5))
        prune(network, ignored_layers=[network[2]], pruning_ratio=0.25, round_to=2)
        assert network[1].out_channels == 8  # right: 12

    def test_equal_scores_go_all_or_none_in_global_scope(self):
        """With fresh BatchNorms, all of scale 1, a quarter of the channels is nothing."""
        network = nn.Sequential(
            conv(3, 16), nn.BatchNorm2d(16), conv(16, 16), nn.BatchNorm2d(16), conv(16, 4)
        )
        importance = tp.importance.BNScaleImportance()
        prune(
            network,
            importance=importance,
            pruning_ratio=0.25,
            global_pruning=True,
            ignored_layers=[network[4]],
        )
        assert (network[0].out_channels, network[2].out_channels) == (16, 16)  # right: 24 of 32

    @pytest.mark.parametrize("global_pruning", [True, False])
    def test_max_pruning_ratio_has_no_effect(self, global_pruning):
        """At most a quarter of each layer may go; half of one does, in either scope."""
        network = nn.Sequential(conv(3, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), conv(16, 4))
        prune(network, global_pruning=global_pruning, max_pruning_ratio=0.25, ignored_layers=[network[4]])
        assert min(network[0].out_channels, network[2].out_channels) <= 8  # right: at least 12

    def test_ignored_layers_ignores_types(self):
        """`List[nn.Module | typing.Type]`, says the docstring: a type is dropped, and its layers are cut."""
        network = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
        prune(network, torch.zeros(1, 8), ignored_layers=[nn.Linear])
        assert [layer.out_features for layer in network] == [8, 2]

    def test_a_group_with_one_channel_anywhere_is_skipped(self):
        """A gate of one channel, times the trunk, keeps the trunk whole."""

        def run(network, x):
            x = network.a(x)
            return network.b(x * torch.sigmoid(network.gate(x)))

        network = ForwardNetwork(run, a=conv(3, 16), gate=conv(16, 1), b=conv(16, 4))
        prune(network, ignored_layers=[network.b])
        assert network.a.out_channels == 16

    def test_manual_prune_width_removes_the_rest_and_leaves_the_weights(self):
        """Asked for a quarter it takes three quarters off the number of channels, none off the weight."""
        network = nn.Sequential(conv(3, 16), conv(16, 4))
        pruner = pruner_of(network, ignored_layers=[network[1]])
        pruner.manual_prune_width(network[0], tp.prune_conv_out_channels, 0.25)
        assert (network[0].out_channels, network[0].weight.shape[0]) == (4, 16)  # right: 12, 12

    def test_indices_in_a_tensor_change_numbers_and_no_weights(self):
        """Tensors are hashed by identity, so none of them is in the set of channels."""
        network = nn.Sequential(conv(3, 16), conv(16, 4))
        graph = graph_of(network)
        graph.get_pruning_group(network[0], tp.prune_conv_out_channels, torch.tensor([0, 1])).prune()
        assert (network[0].out_channels, network[0].weight.shape[0]) == (14, 16)  # right: 14, 14

    def test_an_attention_and_its_projection_share_a_scope(self):
        """Both are called after `proj`, and the second takes the place of the first: its outputs stay."""
        network = nn.Sequential(nn.Linear(8, 16), FusedAttention(), nn.Linear(16, 3))
        prune(network, TOKENS, num_heads={network[1].qkv: 4}, ignored_layers=[network[2]])
        assert (network[1].proj.in_features, network[1].proj.out_features) == (8, 16)  # right: 8, 8


class TestState:
    """What a pruner leaves behind."""

    def test_pruners_share_their_defaults(self):
        """Heads that one pruner was told about are there for the next, of another network too."""
        network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
        defaults = (torch.zeros(1, 8), MAGNITUDE)
        first = tp.BasePruner(network, *defaults, num_heads={network[0]: 4})
        second = tp.BasePruner(copy.deepcopy(network), *defaults)
        shared = second.out_channel_groups
        try:
            assert shared is first.out_channel_groups
            assert shared == {network[0]: 4}
        finally:
            shared.clear()

    def test_tracing_leaves_the_network_in_evaluation_mode(self):
        """A network that was training is not, afterwards."""
        network = nn.Sequential(conv(3, 16), conv(16, 4)).train()
        graph_of(network)
        assert not network.training

    def test_a_frozen_layer_in_front_is_not_seen(self):
        """Autograd does not reach it: what is added to it is cut, and it is not."""

        def run(network, x):
            return network.c(network.a(x) + network.b(x))

        network = ForwardNetwork(run, a=conv(3, 16).requires_grad_(False), b=conv(3, 16), c=conv(16, 4))
        prune(network, ignored_layers=[network.c])
        with pytest.raises(RuntimeError, match="must match the size"):
            network(EXAMPLE)

    def test_a_frozen_layer_that_is_cut_is_frozen_no_more(self):
        """A new parameter takes the place of the old one, and requires gradients."""
        network = nn.Sequential(conv(3, 16), conv(16, 16).requires_grad_(False), conv(16, 4))
        prune(network, ignored_layers=[network[2]])
        assert network[1].weight.requires_grad

    def test_tied_weights_come_apart(self):
        """One parameter in two layers becomes two, of other channels."""
        network = nn.Sequential(conv(3, 16), conv(16, 16), conv(16, 16), conv(16, 4))
        network[2].weight = network[1].weight
        prune(network, ignored_layers=[network[3]])
        assert not torch.equal(network[1].weight, network[2].weight)

    def test_a_cut_by_indices_is_recorded_twice(self):
        """The history holds the cut, and then one of all channels, which replaying it would make."""
        network = nn.Sequential(conv(3, 16), conv(16, 4))
        group = group_of(network, network[0])
        group.prune(idxs=[0, 1])
        assert [len(channels) for _, _, channels in group._DG.pruning_history()] == [2, 16]  # right: [2]

    def test_a_second_step_behind_a_split_fails(self):
        """The sizes of a split are stored on the pruner instead of the split, and are those of before."""

        def run(network, x):
            a, b = network.a(x).chunk(2, 1)
            return network.b(a * torch.sigmoid(b))

        network = ForwardNetwork(run, a=conv(3, 32), b=conv(16, 4))
        with pytest.raises(IndexError, match="out of bounds"):
            prune(network, steps=2, ignored_layers=[network.b])

    def test_a_stored_state_cannot_be_loaded(self, tmp_path):
        """`tp.load` is `torch.load`, which has refused such files since torch 2.6."""
        tp.save(tp.state_dict(nn.Sequential(nn.Linear(3, 2))), tmp_path / "state.pt")
        with pytest.raises(UnpicklingError, match="Weights only load failed"):
            tp.load(tmp_path / "state.pt")

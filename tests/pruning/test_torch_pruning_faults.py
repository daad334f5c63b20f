"""Faults of torch-pruning, pinned: a test that fails here says that a new version mends one.

What each is, where, and what we do: `results/notes/torch-pruning.md`.
That our results are right all the same: `test_right_despite_torch_pruning.py`.
"""

import copy
from pickle import UnpicklingError

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv

EXAMPLE = torch.zeros(1, 3, 16, 16)
TOKENS = torch.zeros(1, 5, 8)
MAGNITUDE = tp.importance.MagnitudeImportance(p=2)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


def graph_of(network, example=EXAMPLE):
    """Trace a network."""
    return tp.DependencyGraph().build_dependency(network, example_inputs=example, verbose=False)


def group_of(network, layer, channels=None, example=EXAMPLE):
    """Return the group of some outputs of a layer; of all where none are named."""
    graph = graph_of(network, example)
    channels = range(graph.get_out_channels(layer)) if channels is None else channels
    return graph.get_pruning_group(
        layer, graph.get_pruner_of_module(layer).prune_out_channels, list(channels)
    )


def pruner_of(network, example=EXAMPLE, **options):
    """Return a pruner of half of the channels, its shared defaults replaced."""
    fresh = {"in_channel_groups": {}, "out_channel_groups": {}, "num_heads": {}}
    usual = {"importance": MAGNITUDE, "pruning_ratio": 0.5, "unwrapped_parameters": []}
    return tp.BasePruner(network, example, **(fresh | usual | options))


def prune(network, example=EXAMPLE, steps=1, **options):
    """Prune a network with torch-pruning."""
    pruner = pruner_of(network, example, iterative_steps=steps, **options)
    for _ in range(steps):
        pruner.step()


def error_of_cut(network, gone, images=None):
    """Cut outputs of `network.a`; return how far off the answer is, and how large it is.

    A cut channel carries nothing: the network whose channel is silenced must answer as the one that is cut.
    """
    silenced = copy.deepcopy(network).eval()
    with torch.no_grad():
        silenced.a.weight[gone] = 0
        silenced.a.bias[gone] = 0
    images = torch.randn(2, 3, 16, 16) if images is None else images
    group_of(network, network.a, gone, images[:1]).prune()
    with torch.no_grad():
        wanted, got = silenced(images), network.eval()(images)
    return float((got - wanted).abs().max()), float(wanted.abs().max())


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


class TestLayers:
    """Layers that are cut wrongly."""

    def test_layer_norm_weights_are_permuted(self):
        """`Tensor.sort` does not sort in place: of 16 channels 1 and 8 stay, their scales change places."""
        network = ForwardNetwork(
            lambda m, x: m.o(m.n(m.a(x))), a=nn.Linear(4, 16), n=nn.LayerNorm(16), o=nn.Linear(16, 3)
        )
        with torch.no_grad():
            for tensor in (network.a.bias, network.n.weight):
                tensor.copy_(torch.arange(16.0))
        gone = [channel for channel in range(16) if channel not in (1, 8)]
        group_of(network, network.a, gone, torch.zeros(1, 4)).prune()
        assert network.a.bias.tolist() == [1, 8]
        assert network.n.weight.tolist() == [8, 1]

    def test_a_layer_norm_cannot_be_cut_by_itself(self):
        """`check` lacks an argument."""
        with pytest.raises(TypeError, match="positional arguments"):
            tp.function.PrunerBox[tp.ops.OPTYPE.LN](nn.LayerNorm(8), [0])

    def test_layer_norm_over_maps_is_cut_along_the_width(self):
        """Of (channels, height, width) the last dimension goes."""
        network = nn.Sequential(conv(3, 8), nn.LayerNorm([8, 16, 16]), conv(8, 4))
        group_of(network, network[0], [0, 1]).prune()
        assert network[1].normalized_shape == (8, 16, 14)  # right: (6, 16, 16)

    def test_inputs_of_a_grouped_convolution_are_those_of_its_first_block(self):
        """Input 0 of one block and 1 of the other go: both blocks lose 0, and the answer is wrong."""
        network = ForwardNetwork(lambda m, x: m.b(F.relu(m.a(x))), a=conv(3, 8), b=conv(8, 8, groups=2))
        error, size = error_of_cut(network, [0, 5])
        assert error > 0.1 * size

    def test_unequal_blocks_are_cut_for_the_greater_number_alone(self):
        """4 blocks of a norm and 6 of a convolution: multiples of 6 stay, which 4 does not divide."""
        network = nn.Sequential(conv(3, 24), nn.GroupNorm(4, 24), conv(24, 24, groups=6), conv(24, 5))
        prune(network, pruning_ratio=0.25, ignored_layers=[network[3]])
        with pytest.raises(RuntimeError, match="divisible by num_groups"):
            network(EXAMPLE)

    @pytest.mark.parametrize(
        "layer",
        [nn.ConvTranspose2d(16, 16, 2, 2, groups=2), conv(16, 32, groups=16)],
        ids=["transposed", "depthwise times two"],
    )
    def test_grouped_convolutions_that_cannot_be_cut(self, layer):
        """A transposed one, and a depthwise one with two outputs a channel, fail on the way."""
        network = nn.Sequential(conv(3, 16), layer, conv(layer.out_channels, 4))
        with pytest.raises(IndexError, match="out of bounds"):
            prune(network, ignored_layers=[network[2]])

    def test_as_many_groups_as_outputs_is_taken_for_depthwise(self):
        """16 inputs, 8 outputs, 8 groups: 4 inputs go where 8 must, and the network does not run."""
        network = nn.Sequential(conv(3, 16), conv(16, 8, groups=8), conv(8, 4))
        prune(network, ignored_layers=[network[2]])
        with pytest.raises(RuntimeError, match="to have 8 channels"):
            network(EXAMPLE)

    def test_heads_of_an_attention_are_mixed(self):
        """Unless told the heads, it cuts any channels, and the heads are divided differently."""
        network = ForwardNetwork(
            lambda m, x: m.o((lambda y: m.at(y, y, y, need_weights=False)[0])(m.p(x))),
            p=nn.Linear(8, 16),
            at=nn.MultiheadAttention(16, 4, batch_first=True),
            o=nn.Linear(16, 3),
        )
        with torch.no_grad():
            network.p.bias.copy_(torch.arange(16.0))
            network.p.weight[4:8] *= 1e-3
        prune(network, TOKENS, ignored_layers=[network.o])
        kept_of_head = [sum(int(c) // 4 == head for c in network.p.bias) for head in range(4)]
        assert kept_of_head != [2, 2, 2, 2]

    def test_keys_of_another_width_are_taken_for_the_same(self):
        """`kdim` becomes `embed_dim`, and the weights of keys keep their inputs."""
        attention = nn.MultiheadAttention(16, 4, kdim=12, vdim=12, batch_first=True)
        tp.function.PrunerBox[tp.ops.OPTYPE.MHA].prune_out_channels(attention, [0, 4, 8, 12])
        assert (attention.kdim, attention.k_proj_weight.shape[1]) == (12, 12)
        assert attention.embed_dim == 12
        tp.function.PrunerBox[tp.ops.OPTYPE.MHA].prune_out_channels(attention, [0, 3, 6, 9])
        assert (attention.kdim, attention.k_proj_weight.shape[1]) == (8, 12)  # right: 12, 12

    def test_an_lstm_is_cut_across_its_gates(self):
        """Of 12 units 2 go: 10 of 48 rows stay, where 40 should."""
        network = ForwardNetwork(
            lambda m, x: m.o(m.r(x)[0]), r=nn.LSTM(8, 12, batch_first=True), o=nn.Linear(12, 3)
        )
        with pytest.raises(IndexError, match="out of range"):
            group_of(network, network.r, [0, 1], TOKENS).prune()
        assert network.r.weight_hh_l0.shape[0] == 10

    def test_running_statistics_of_an_instance_norm_stay(self):
        """Its means are those of the channels before."""
        network = nn.Sequential(conv(3, 8), nn.InstanceNorm2d(8, track_running_stats=True), conv(8, 4))
        group_of(network, network[0], [0]).prune()
        assert (network[1].num_features, len(network[1].running_mean)) == (7, 8)

    def test_parametrized_weights_cannot_be_cut(self):
        """A weight that is computed cannot be replaced by a parameter."""
        network = nn.Sequential(nn.utils.parametrizations.weight_norm(conv(3, 8)), conv(8, 4))
        with pytest.warns(UserWarning, match="not a leaf"), pytest.raises(KeyError, match="already exists"):
            group_of(network, network[0], [0]).prune()

    def test_a_parameter_loses_its_last_dimension(self):
        """A position map of (1, channels, height, width) becomes narrower."""
        network = ForwardNetwork(lambda m, x: m.b(m.a(x) + m.position), a=conv(3, 8), b=conv(8, 4))
        network.position = nn.Parameter(torch.rand(1, 8, 16, 16))
        group_of(network, network.a, [0]).prune()
        assert network.position.shape == (1, 8, 16, 15)  # right: (1, 7, 16, 16)

    def test_buffers_stay(self):
        """A factor for each channel that is no parameter keeps all, and the network does not run."""
        network = ForwardNetwork(lambda m, x: m.b(m.a(x) * m.factor), a=conv(3, 8), b=conv(8, 4))
        network.register_buffer("factor", torch.rand(1, 8, 1, 1))
        group_of(network, network.a, [0]).prune()
        with pytest.raises(RuntimeError, match="must match the size"):
            network(EXAMPLE)

    def test_norms_that_it_does_not_know_are_half_cut(self):
        """Of an RMSNorm the weight goes, as a parameter of nobody's, and the shape stays."""
        network = ForwardNetwork(
            lambda m, x: m.o(m.n(m.a(x))), a=nn.Linear(8, 16), n=nn.RMSNorm(16), o=nn.Linear(16, 3)
        )
        group_of(network, network.a, [0, 1], TOKENS).prune()
        assert (network.n.normalized_shape, len(network.n.weight)) == ((16,), 14)


def shuffle(x):
    """Let the channels of two halves alternate, as in a ShuffleNet."""
    return x.unflatten(1, (2, x.shape[1] // 2)).transpose(1, 2).flatten(1, 2)


REORDERED = {
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(3, 1),
    "shuffle": shuffle,
    "halves change places": lambda x: torch.cat([x[:, 8:], x[:, :8]], 1),
}
"""What puts channels in another order."""


class TestTracing:
    """Operations that are followed wrongly, or without end."""

    @pytest.mark.parametrize("reorder", REORDERED.values(), ids=REORDERED)
    def test_reordered_channels_are_cut_wrongly_without_a_word(self, reorder):
        """What it does not know it takes for an operation on each element, which leaves the order alone."""
        network = ForwardNetwork(lambda m, x: m.b(reorder(F.relu(m.a(x)))), a=conv(3, 16), b=conv(16, 4))
        error, size = error_of_cut(network, [0, 1])
        assert error > 0.1 * size

    def test_channels_that_are_flattened_last_are_cut_as_if_first(self):
        """Behind permute and flatten the pixels of a channel do not lie side by side."""

        def run(network, x):
            return network.b(F.adaptive_avg_pool2d(F.relu(network.a(x)), 2).permute(0, 2, 3, 1).flatten(1))

        network = ForwardNetwork(run, a=conv(3, 16), b=nn.Linear(64, 5))
        error, size = error_of_cut(network, [0, 3])
        assert error > 0.1 * size

    def test_the_dimension_of_channels_counted_from_the_front_is_not_joined(self):
        """Tokens joined along dimension −1 are followed, along 2, the same, they are not."""
        for dimension, works in ((-1, True), (2, False)):
            network = ForwardNetwork(
                lambda m, x, d=dimension: m.b(torch.cat([m.a(x), m.a(x)], d)),
                a=nn.Linear(8, 16),
                b=nn.Linear(32, 4),
            )
            group_of(network, network.a, [0], TOKENS).prune()
            assert (network.b.in_features == 30) == works

    def test_a_product_of_a_branch_with_itself_has_no_end(self, monkeypatch):
        """In a Gram matrix the same indices come back in another order and are followed again, and again."""

        def run(network, x):
            x = F.relu(network.a(x)).flatten(2)
            return network.b((x @ x.transpose(1, 2)).flatten(1))

        network = ForwardNetwork(run, a=conv(3, 4), b=nn.Linear(16, 5))
        seen = {}

        def add_dep(group, dep, idxs, original=tp.Group.add_dep):
            seen.setdefault(dep, []).append(idxs)
            if sum(map(len, seen.values())) > 300:
                raise OverflowError
            original(group, dep, idxs)

        monkeypatch.setattr(tp.Group, "add_dep", add_dep)
        with pytest.raises(OverflowError):
            group_of(network, network.a)
        oftenest = max(seen.values(), key=len)
        assert len({frozenset(indices) for indices in oftenest}) < len(oftenest) > 20

    def test_what_is_detached_is_not_seen(self):
        """A layer behind which the graph ends keeps its width."""
        network = ForwardNetwork(lambda m, x: m.b(m.a(x).detach()), a=conv(3, 16), b=conv(16, 4))
        prune(network, ignored_layers=[network.b])
        assert network.a.out_channels == 16


class TestScores:
    """Scores that leave something out, or count it wrongly."""

    def test_taylor_does_not_see_batch_norms(self):
        """It asks for a group norm where a batch norm is meant: larger gradients change no score."""
        network = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), conv(4, 2)).eval()
        network(torch.randn(2, 3, 8, 8)).pow(2).sum().backward()
        importance = tp.importance.TaylorImportance(normalizer=None)
        before = importance(group_of(network, network[0]))
        network[1].weight.grad.mul_(1000)
        assert torch.equal(importance(group_of(network, network[0])), before)

    def test_hessian_keeps_the_last_gradient_alone(self):
        """It looks for a name among parameters, never finds it, and begins again."""
        layer = nn.Linear(2, 2)
        importance = tp.importance.HessianImportance()
        for factor in (100.0, 1.0):
            layer.zero_grad()
            (factor * layer(torch.ones(1, 2))).sum().backward()
            importance.accumulate_grad(layer)
        assert importance._accu_grad[layer.weight].max() == 1.0  # right: 10 001
        assert importance._counter[layer.weight] == 1  # right: 2

    @pytest.mark.parametrize("reduction", ["max", "prod"])
    def test_the_last_of_several_inputs_decides(self, reduction):
        """Where a channel is read by 16 inputs, the greatest, or the product, is that of the last."""
        network = nn.Sequential(conv(3, 2), nn.Flatten(), nn.Linear(32, 3))
        with torch.no_grad():
            network[0].weight.fill_(1.0)
            network[2].weight.fill_(1.0)
            network[2].weight[:, 0] = 10.0
        importance = tp.importance.MagnitudeImportance(group_reduction=reduction, normalizer=None)
        scores = importance(group_of(network, network[0], example=torch.zeros(1, 3, 4, 4)))
        assert scores[0] == scores[1]  # right: the first is larger

    def test_depthwise_layers_and_attentions_have_no_score(self):
        """Their weights count nothing, however large."""
        network = nn.Sequential(conv(3, 4), conv(4, 4, groups=4), conv(4, 2))
        importance = tp.importance.MagnitudeImportance(normalizer=None)
        before = importance(group_of(network, network[0]))
        network[1].weight.data[0] *= 1000
        assert torch.equal(importance(group_of(network, network[0])), before)

    def test_inputs_of_grouped_convolutions_score_alike_in_each_block(self):
        """One block weighs nothing, yet its inputs score as those of the other."""
        network = nn.Sequential(conv(3, 4), conv(4, 4, groups=2))
        network[0].weight.data.zero_()
        network[1].weight.data[2:] = 0
        scores = tp.importance.MagnitudeImportance(normalizer=None)(group_of(network, network[0]))
        assert scores[0] == scores[2] > 0  # right: the third is 0

    def test_a_group_of_zeros_has_no_scores(self):
        """Its mean is zero, and it is divided by its mean; nothing of it is pruned."""
        network = nn.Sequential(conv(3, 4), conv(4, 8), conv(8, 2))
        for layer in network[:2]:
            layer.weight.data.zero_()
        assert MAGNITUDE(group_of(network, network[0])).isnan().all()
        prune(network, global_pruning=True, ignored_layers=[network[2]])
        assert network[0].out_channels == 4

    def test_group_lasso_needs_a_batch_norm_in_each_group(self):
        """A group without one has no score, to which a number is added."""
        network = nn.Sequential(conv(3, 4), conv(4, 8), nn.BatchNorm2d(8), conv(8, 2))
        pruner = tp.pruner.BNScalePruner(network, EXAMPLE, MAGNITUDE, group_lasso=True)
        with pytest.raises(TypeError, match="NoneType"):
            pruner.regularize(network)

    def test_the_group_norm_pruner_makes_gradients_of_equal_channels_nan(self):
        """Scores that are all the same are divided by their range, zero."""
        network = nn.Sequential(conv(3, 4), conv(4, 2))
        for parameter in network.parameters():
            parameter.data.fill_(1.0)
        pruner = tp.pruner.GroupNormPruner(network, EXAMPLE, MAGNITUDE, ignored_layers=[network[1]])
        network(torch.randn(2, 3, 16, 16)).sum().backward()
        pruner.regularize(network)
        assert network[0].weight.grad.isnan().any()


class OddConv(nn.Conv2d):
    """A convolution by another name."""


def macs_of(network, example=EXAMPLE):
    """Return multiply-adds as torch-pruning counts them."""
    return tp.utils.count_ops_and_params(network, example)[0]


class TestCounting:
    """Multiply-adds that are counted wrongly."""

    def test_functions_count_nothing(self):
        """A convolution by `F.conv2d` is free."""
        network = ForwardNetwork(lambda m, x: F.conv2d(x, m.weight))
        network.weight = nn.Parameter(torch.rand(16, 3, 3, 3))
        assert macs_of(network) == 0

    def test_subclasses_count_nothing(self):
        """Layers are known by their exact type."""
        assert macs_of(nn.Sequential(OddConv(3, 16, 3))) == 0
        assert macs_of(nn.Sequential(nn.utils.parametrizations.weight_norm(conv(3, 16)))) == 0

    def test_attention_by_functions_counts_its_linear_layers_alone(self):
        """The scores and what they weigh, 2 × 50 × 50 × 16, are free."""
        linear = 50 * 16 * 16 * 4
        assert linear <= macs_of(FusedAttention(), torch.zeros(1, 50, 16)) < linear + 100

    def test_an_attention_called_by_keywords_cannot_be_counted(self):
        """It takes three positional arguments apart."""
        network = ForwardNetwork(
            lambda m, x: m.at(query=x, key=x, value=x)[0], at=nn.MultiheadAttention(8, 2, batch_first=True)
        )
        with pytest.raises(ValueError, match="not enough values"):
            macs_of(network, TOKENS)

    def test_a_transposed_convolution_counts_its_outputs(self):
        """With stride 2 it counts four times what is computed."""
        layer = nn.ConvTranspose2d(3, 8, 4, 2, 1, bias=False)
        assert macs_of(nn.Sequential(layer)) == 4 * 16 * 16 * 3 * 8 * 16

    def test_a_shared_layer_counts_in_each_parent(self, capsys):
        """Two calls, counted on the layer, are summed once more for each parent."""
        layer = conv(3, 3, bias=False)
        assert macs_of(nn.Sequential(nn.Sequential(layer), nn.Sequential(layer))) == 4 * 16 * 16 * 3 * 3 * 9
        assert "already" in capsys.readouterr().out

    def test_a_bias_of_a_linear_layer_counts_once_for_all_tokens(self):
        """100 tokens take 100 × 16 additions; it counts 16."""
        assert macs_of(nn.Sequential(nn.Linear(8, 16)), torch.zeros(1, 100, 8)) == 100 * 8 * 16 + 16

    def test_an_lstm_takes_its_tokens_for_images_and_its_features_for_tokens(self):
        """10 tokens of 16 features are counted as 160 steps."""
        steps = macs_of(nn.LSTM(16, 24, batch_first=True), torch.zeros(1, 10, 16)) / (4 * 24 * (16 + 24))
        assert 160 < steps < 200  # right: 10, and a little for the gates

"""Faults of torch-pruning in kinds of layers and in what it traces, pinned.

What each is, where, and what we do: `results/notes/torch-pruning.md`.
That our results are right all the same: `test_right_despite_torch_pruning.py`.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, conv
from tests.helpers.torch_pruning_alone import EXAMPLE, TOKENS, error_of_cut, group_of, prune


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


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

    def test_nothing_is_joined_behind_a_parameter_of_three_dimensions(self):
        """Positions, or a scale for each head: a class token may be joined there, so no join is followed."""
        for dimensions, works in (((1, 5, 8), False), ((5, 8), True)):
            network = ForwardNetwork(
                lambda m, x: m.b(torch.cat([m.a(x + m.positions), m.a(x)], -1)),
                a=nn.Linear(8, 16),
                b=nn.Linear(32, 4),
            )
            network.positions = nn.Parameter(torch.zeros(dimensions))
            group_of(network, network.a, [0], TOKENS).prune()
            assert (network.b.in_features == 30) == works

    def test_a_linear_layer_on_tokens_is_lost_when_its_answer_is_written_into(self):
        """The answer is a view, and autograd gives a view that is written into another node."""
        for inplace in (False, True):
            network = ForwardNetwork(
                lambda m, x, i=inplace: m.b(F.relu(m.a(m.n(x)), inplace=i)),
                n=nn.LayerNorm(8),
                a=nn.Linear(8, 16),
                b=nn.Linear(16, 4),
            )
            prune(network, torch.zeros(1, 4, 5, 8), ignored_layers=[network.b])
            assert (network.a.out_features == 8) == (not inplace)

    def test_a_gate_is_not_halved(self):
        """`F.glu` multiplies one half with the other; the first indices of both are taken for one."""
        network = ForwardNetwork(lambda m, x: m.b(F.glu(m.a(x), 1)), a=conv(3, 16), b=conv(8, 4))
        group_of(network, network.a, [0]).prune()
        with pytest.raises(RuntimeError, match="must be even"):
            network(EXAMPLE)

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

"""Faults of torch-pruning in what it ranks and counts, pinned.

What each is, where, and what we do: `results/notes/torch-pruning.md`.
That our results are right all the same: `test_right_despite_torch_pruning.py`.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.torchvision_compat import torch_pruning as tp
from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv
from tests.helpers.torch_pruning_alone import EXAMPLE, MAGNITUDE, TOKENS, group_of, prune


@pytest.fixture(autouse=True)
def fixed_seed():
    """Let each test see the same weights."""
    torch.manual_seed(0)


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

    def test_fpgm_takes_a_filter_and_its_negative_for_one(self):
        """Distances are between absolute weights: of two filters that are far apart it is zero."""
        layer = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [-1.0, 2.0, -3.0]]))
        network = nn.Sequential(layer, nn.Linear(2, 2))
        importance = tp.importance.FPGMImportance(p=1, group_reduction="first", normalizer=None)
        assert importance(group_of(network, layer, example=torch.zeros(1, 3))).tolist() == [0, 0]

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

    def test_the_growing_pruner_does_not_push_batch_norms(self):
        """It adds to `grad[indices]`, which is a copy."""
        network = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), conv(4, 2))
        pruner = tp.pruner.GrowingRegPruner(network, EXAMPLE, MAGNITUDE, reg=1.0, ignored_layers=[network[2]])
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        pruner.regularize(network)
        assert network[0].weight.grad.any()
        assert not network[1].weight.grad.any()


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

"""Masks in patterns: two of every four weights, and whole blocks."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from pruning_core.errors import OptionError, PruningError
from pruning_core.pruning.block_sparse import BLOCK_SIDE, smallest_blocks
from pruning_core.pruning.semi_structured import smallest_of_each_group
from tests.helpers.mask_networks import CONVOLUTIONS, PATTERNED, build_tiny, mask, zero_count

SHAPES = [(5, 8), (5, 10), (3, 4, 3, 3), (6, 7, 1, 1), (4, 3, 3, 3), (17, 9), (1, 1), (16, 16, 2, 2)]


def weights(shape, seed=0):
    """Random weights, all unlike and none zero."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel()
    values = (torch.randperm(count, generator=generator) + 1) / count
    return (values * (torch.rand(count, generator=generator) - 0.5).sign()).view(shape)


def neighbours(weight):
    """Walk over what an output reads at one position: its weights along the inputs."""
    rows = weight[:, :, None, None] if weight.dim() == 2 else weight
    for output in rows:
        for row in range(rows.shape[2]):
            for column in range(rows.shape[3]):
                yield output[:, row, column]


class TestTwoOfFour:
    """`semi-structured`."""

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_the_two_smallest_of_every_four(self, shape):
        """Along the inputs of each output, at each position of a kernel, the two larger of four stay."""
        weight = weights(shape)
        gone = smallest_of_each_group(weight)
        assert gone.shape == weight.shape
        for values, zeros in zip(neighbours(weight), neighbours(gone), strict=True):
            for start in range(0, len(values), 4):
                four, its = values[start : start + 4].abs().tolist(), zeros[start : start + 4].tolist()
                expected = sorted(four)[:2] if len(four) == 4 else []
                assert sorted(v for v, z in zip(four, its, strict=True) if z) == expected

    def test_equal_weights(self):
        """Of four equal weights exactly two go, and what is zero goes first."""
        gone = smallest_of_each_group(torch.tensor([[1.0, 1, 1, 1, 1, 0, 1, 0], [0.0, 0, 0, 0, 0, 0, 0, 1]]))
        assert gone.tolist() == [
            [True, True, False, False, False, True, False, True],
            [True, True, False, False, True, True, False, False],
        ]

    @pytest.mark.parametrize("laid_out", [torch.contiguous_format, torch.channels_last])
    def test_a_network(self, laid_out):
        """Half of each layer is zero, whatever its layout; three inputs and the classifier stay."""
        network = build_tiny().to(memory_format=laid_out)
        fc = network.fc.weight.clone()
        mask(network, "semi-structured", 0.5)
        zeros = [zero_count(network.get_submodule(name)) for name in CONVOLUTIONS]
        assert zeros == [0, network.inner.weight.numel() // 2, network.outer.weight.numel() // 2]
        assert torch.equal(network.fc.weight, fc)

    @pytest.mark.parametrize("ratio", [0.25, 0.49, 0.75, 1.0])
    def test_no_other_ratio(self, ratio):
        """Its pattern is its ratio: another one is refused in one line, and nothing is masked."""
        network = build_tiny()
        with pytest.raises(PruningError, match=rf"only ratio is 0\.5.*; got {ratio:g}$"):
            mask(network, "semi-structured", ratio)
        with pytest.raises(PruningError, match=rf"got {ratio:g}$"):
            mask(network, "semi-structured", 0.5, ratio_of={"inner": ratio})
        assert zero_count(network.outer) == 0

    def test_a_layer_of_its_own_ratio_stays(self):
        """0 in ratio_of leaves a layer as it is."""
        network = mask(build_tiny(), "semi-structured", 0.5, ratio_of={"inner": 0.0})
        assert (zero_count(network.inner), zero_count(network.outer)) == (0, 256)


def blocks_of(weight, zeros):
    """Walk over the blocks of a product's matrix: mean square, and which of its weights are zero."""
    matrix, gone = (t if t.dim() == 2 else t.permute(0, 2, 3, 1).reshape(len(t), -1) for t in (weight, zeros))
    for row in range(0, matrix.shape[0], BLOCK_SIDE):
        for column in range(0, matrix.shape[1], BLOCK_SIDE):
            block = (slice(row, row + BLOCK_SIDE), slice(column, column + BLOCK_SIDE))
            yield float((matrix[block] ** 2).mean()), gone[block]


class TestBlocks:
    """`block-sparse`."""

    @pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 0.9, 1.0])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_the_smallest_blocks(self, shape, ratio):
        """Of the product's matrix whole blocks are gone, as many as asked for, those of least squares."""
        weight = weights(shape)
        gone = smallest_blocks(weight, ratio)
        assert gone.shape == weight.shape
        blocks = list(blocks_of(weight, gone))
        assert all(bool(zero.all()) or not bool(zero.any()) for _, zero in blocks)
        masked = sorted(score for score, zero in blocks if zero.all())
        count = min(round(ratio * len(blocks)), len(blocks) - 1)
        assert masked == pytest.approx(sorted(score for score, _ in blocks)[:count])

    def test_a_chain_keeps_its_zeros(self):
        """Blocks that were masked before count: two steps end with as many as one."""
        network = mask(build_tiny(), "block-sparse", 0.3)
        before = network.inner.weight == 0
        mask(network, "block-sparse", 0.6)
        after = network.inner.weight == 0
        assert bool(after[before].all())
        once = mask(build_tiny(), "block-sparse", 0.6)
        assert int(after.sum()) == zero_count(once.inner)


@pytest.mark.parametrize("name", PATTERNED)
class TestAsEveryMask:
    """What holds for all masking methods."""

    def test_a_protected_layer_stays(self, name):
        """No weight of a protected layer becomes zero; the others are masked as without it."""
        network = mask(build_tiny(), name, 0.5, protect=["in*"])
        assert torch.equal(network.inner.weight, build_tiny().inner.weight)
        assert torch.equal(network.outer.weight, mask(build_tiny(), name, 0.5).outer.weight)
        assert zero_count(network.outer) > 0

    def test_a_linear_layer_is_masked(self, name):
        """A linear layer is masked by half; classifier, biases, names, frozen weights stay so."""
        network = nn.Sequential(OrderedDict(hidden=nn.Linear(16, 16), fc=nn.Linear(16, 4)))
        network.hidden.weight.requires_grad_(False)
        bias, fc = network.hidden.bias.clone(), network.fc.weight.clone()
        names = list(network.state_dict())
        mask(network, name, 0.5)
        assert zero_count(network.hidden) == 128
        assert torch.equal(network.hidden.bias, bias)
        assert torch.equal(network.fc.weight, fc)
        assert list(network.state_dict()) == names
        assert not network.hidden.weight.requires_grad

    def test_what_cannot_be_meant_is_refused(self, name):
        """Patterns that match nothing, and a model without a layer to mask, are said in one line."""
        with pytest.raises(OptionError, match=r"no layer 'iner' in this model\. Did you mean 'inner'"):
            mask(build_tiny(), name, 0.5, protect=["iner"])
        with pytest.raises(PruningError, match="no layer to mask"):
            mask(nn.Sequential(OrderedDict(fc=nn.Linear(3, 4))), name, 0.5)

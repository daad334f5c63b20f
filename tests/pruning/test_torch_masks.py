"""Pins what torch.nn.utils.prune does unasked, and we work around or rely on."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from tests.helpers.mask_networks import zero_channels, zero_count


class TestTorch:
    """Pins what torch.nn.utils.prune does unasked, and we work around or rely on."""

    def test_random_draws_zeros_again(self):
        """Without a mask that names the zeros, fewer weights than asked become zero."""
        layers = []
        for named in (False, True):
            torch.manual_seed(0)
            layer = nn.Linear(10, 10)
            torch_prune.remove(torch_prune.l1_unstructured(layer, "weight", amount=75), "weight")
            if named:
                torch_prune.custom_from_mask(layer, "weight", layer.weight != 0)
            layers.append(torch_prune.random_unstructured(layer, "weight", amount=10))
        assert zero_count(layers[0]) < 85
        assert zero_count(layers[1]) == 85

    def test_a_whole_layer_may_go(self):
        """Global pruning takes every weight of a layer that ranks below the others."""
        low, high = nn.Linear(4, 4), nn.Linear(4, 4)
        with torch.no_grad():
            low.weight *= 1e-6
        parameters = [(low, "weight"), (high, "weight")]
        torch_prune.global_unstructured(parameters, torch_prune.L1Unstructured, amount=16)
        assert (zero_count(low), zero_count(high)) == (16, 0)

    def test_zero_channels_count(self):
        """Asking for four zero channels where there are three adds one, without a mask that names them."""
        layer = nn.Conv2d(4, 8, 3)
        with torch.no_grad():
            layer.weight[:3] = 0.0
        torch_prune.ln_structured(layer, "weight", amount=4, n=2, dim=0)
        assert zero_channels(layer) == 4

    def test_remove_puts_the_weight_last(self):
        """A removed mask leaves the weight behind the bias."""
        layer = torch_prune.l1_unstructured(nn.Linear(2, 2), "weight", amount=1)
        torch_prune.remove(layer, "weight")
        assert list(layer.state_dict()) == ["bias", "weight"]

    def test_channels_last_cannot_be_flattened(self):
        """Global pruning fails on a weight in channels_last."""
        layer = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
        with pytest.raises(RuntimeError, match="view"):
            torch_prune.global_unstructured([(layer, "weight")], torch_prune.L1Unstructured, amount=4)

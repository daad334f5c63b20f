"""Multiply-adds and parameters that torch-pruning publishes come out of our pruning too.

Where version 1.6.1 gives another number than its pages say: `results/notes/torch-pruning-scores.md`.
"""

import copy

import pytest
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.cost import count_cost
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import models

EXAMPLE = torch.zeros(1, 3, 224, 224)


def counts_before_and_after(network, round_to):
    """Halve a network with `magnitude`; return multiply-adds and parameters, before and after."""
    torch.manual_seed(0)
    dense = network.eval()
    pruned = copy.deepcopy(dense)
    prune(pruned, dense, MethodSpec(name="magnitude", round_to=round_to), 0.5, EXAMPLE, seed=0)
    return [(cost.macs, cost.params) for cost in (count_cost(dense, EXAMPLE), count_cost(pruned, EXAMPLE))]


def test_resnet18():
    """The README's first example: half of ResNet-18, multiples of 8."""
    before, after = counts_before_and_after(models.resnet18(), round_to=8)
    assert before == (1_822_177_768, 11_689_512)
    assert after == (487_202_536, 3_055_880)


@pytest.mark.slow
def test_vit_b_16_of_torchvision():
    """Published of ViT-B/16: 17.59 → 4.61 G, 86.57 → 22.05 M; torchvision's counts its norms, so 4.6165 G."""
    before, after = counts_before_and_after(models.vit_b_16(), round_to=2)
    assert before == (17_593_519_096, 86_567_656)
    assert after == (4_616_522_488, 22_050_664)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "round_to", "before", "after"),
    [
        ("vit_base_patch32_224", 8, (4_415_698_216, 88_224_232), (1_146_346_408, 22_878_952)),
        ("vit_base_patch16_224", 1, (17_593_519_096, 86_567_656), (4_616_522_488, 22_050_664)),
    ],
)
def test_vits_of_timm(name, round_to, before, after):
    """Published of ViT-B/32: 4.4157 → 1.1463 G, 88.2242 → 22.8790 M, layer norms counted."""
    timm = pytest.importorskip("timm")
    network = timm.create_model(name, pretrained=False)
    assert counts_before_and_after(network, round_to) == [before, after]

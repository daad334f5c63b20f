"""Multiply-adds and parameters that torch-pruning publishes come out of our pruning too.

Where version 1.6.1 gives another number than its pages say: `results/notes/torch-pruning-scores.md`.
"""

import copy

import pytest
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.config.target_kinds import parse_targets
from pruning_core.models import build_model
from pruning_core.pruning.cost import count_cost
from pruning_core.pruning.step import prune
from pruning_core.shapes.pruned import PrunedShapes
from pruning_core.shapes.targets import find_for_counts
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


# Runs of resnet56 that torch-pruning publishes (`results/notes/resnet56-published-counts.md`):
# percent of the parameters and of the multiply-adds that it left; then the width of each convolution.
RESNET56 = {
    "l1, 2.11": (63.65, 47.26, """
        15 10 15 7 15 5 15 11 15 10 15 9 15 8 15 12 15 13 15 32 10 10 4 10 6 10 1 10 2 10
        1 10 4 10 3 10 1 10 64 64 64 62 64 58 64 53 64 59 64 45 64 34 64 27 64 64 64"""),
    "group_sl, 2.55": (34.38, 38.31, """
        12 9 12 5 12 7 12 9 12 6 12 12 12 4 12 11 12 7 12 27 30 30 10 30 24 30 27 30 25 30
        8 30 11 30 7 30 7 30 61 25 25 55 25 51 25 47 25 57 25 37 25 36 25 42 25 53 25"""),
    "group_sl, 2.11": (49.81, 47.11, """
        14 11 14 3 14 7 14 9 14 6 14 10 14 4 14 10 14 7 14 28 31 31 9 31 25 31 27 31 24 31
        6 31 13 31 11 31 7 31 61 41 41 57 41 55 41 50 41 59 41 43 41 30 41 36 41 56 41"""),
    "growing_reg, 2.11": (72.50, 47.26, """
        5 8 5 8 5 5 5 9 5 5 5 12 5 5 5 8 5 7 5 29 31 31 13 31 26 31 26 31 24 31
        3 31 12 31 5 31 4 31 63 58 58 62 58 58 58 53 58 62 58 60 58 57 58 51 58 62 58"""),
    "growing_reg again, 2.11": (61.28, 47.07, """
        8 8 8 7 8 6 8 10 8 8 8 13 8 3 8 10 8 7 8 24 30 30 9 30 29 30 29 30 29 30
        8 30 14 30 11 30 5 30 56 47 47 63 47 61 47 61 47 62 47 62 47 57 47 47 47 47 47"""),
    "slim, 2.11": (43.80, 47.19, """
        13 14 13 7 13 7 13 9 13 12 13 11 13 11 13 16 13 15 13 32 23 23 15 23 25 23 26 23 26 23
        6 23 13 23 10 23 4 23 64 36 36 61 36 55 36 51 36 51 36 41 36 38 36 27 36 62 36"""),
    "slim again, 2.11": (55.08, 46.39, """
        9 12 9 3 9 4 9 5 9 12 9 7 9 9 9 15 9 8 9 30 31 31 16 31 28 31 27 31 27 31
        11 31 10 31 9 31 4 31 61 41 41 62 41 57 41 57 41 58 41 57 41 53 41 50 41 53 41"""),
}  # fmt: skip
SMALL = torch.zeros(1, 3, 32, 32)


def resnet56():
    """Build the network of these tables; return it with the names of its convolutions and its counts."""
    dense = build_model("resnet56", 10, (3, 32, 32)).eval()
    convolutions = [name for name, layer in dense.named_modules() if isinstance(layer, torch.nn.Conv2d)]
    return dense, convolutions, count_cost(dense, SMALL)


def test_dense_resnet56():
    """Published: 0.86 M parameters, 127.12 M multiply-adds; 1.6.1 counts 0.2 % fewer than the logs."""
    _, convolutions, cost = resnet56()
    assert (len(convolutions), cost.params, cost.macs) == (57, 855_770, 126_853_770)
    assert cost.macs == pytest.approx(127.12e6, rel=0.0025)


@pytest.mark.parametrize(
    "run",
    [pytest.param(run, marks=pytest.mark.slow if number > 1 else ()) for number, run in enumerate(RESNET56)],
)
def test_published_shapes_of_resnet56(run):
    """Cut to the widths that a published run ended with, our network has its parameters, to 4 digits."""
    params, macs, text = RESNET56[run]
    dense, convolutions, before = resnet56()
    widths = dict(zip(convolutions, map(int, text.split()), strict=True))
    method = MethodSpec(name="latency-aware", round_to=1, allocation=widths)  # the one that is told widths
    network = copy.deepcopy(dense)
    plan = prune(network, dense, method, 0.5, SMALL, seed=0)
    after = count_cost(network, SMALL)
    assert plan.proof == "exact"
    assert {name: plan.widths[name] for name in convolutions} == widths
    assert round(100 * after.params / before.params, 2) == params
    assert 100 * after.macs / before.macs == pytest.approx(macs, rel=0.002)
    assert after.macs / 1e6 == pytest.approx(60 if macs > 40 else 50, rel=0.03)


@pytest.mark.slow
def test_a_target_takes_no_step_more_than_it_needs():
    """`--target-macs 2.11x` cuts resnet56 to the first widths below 60 M: the step before is above."""
    dense, _, before = resnet56()
    shapes = PrunedShapes(dense, MethodSpec(round_to=1, max_ratio=0.6), SMALL)
    (found,) = find_for_counts(shapes, parse_targets("target_macs", "2.11x"))
    assert found.reached
    earlier = max(ratio for ratio in shapes.ratios if ratio < found.ratio)
    at, above = (count_cost(shapes.network(ratio)[0], SMALL).macs for ratio in (found.ratio, earlier))
    assert at <= before.macs / 2.11 < above
    assert max(shapes.ratios) <= 0.6

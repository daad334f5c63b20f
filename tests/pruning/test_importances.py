"""Each ranking on a tiny network in which it is known by hand which channels must go."""

import copy

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.pruning.step import prune

EXAMPLE = torch.zeros(1, 1, 8, 8)


def four_filters(filters: list[list[float]], scales: tuple[float, ...] = (1, 1, 1, 1)) -> nn.Module:
    """Return a network whose first layer has four filters of nine weights, all read alike."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor(filters).reshape(4, 1, 3, 3))
        network[1].weight.copy_(torch.tensor(scales))
        network[5].weight.fill_(0.01)
    return network.eval()


def kept(method: str, network: nn.Module, ratio: float = 0.25) -> list[int]:
    """Return which of the four channels stay, by the first weight of each filter, which is its number."""
    before = network[0].weight.detach().clone()  # type: ignore[index]
    scope = "global" if method == "lamp" else "local"
    spec = MethodSpec(name=method, round_to=1, scope=scope)
    dense = four_filters(before.reshape(4, 9).tolist())
    prune(network, dense, spec, ratio, EXAMPLE, seed=0)
    after = network[0].weight.detach()  # type: ignore[index]
    return [index for index in range(4) if any(torch.equal(before[index], row) for row in after)]


PEAKED = [3.0, *[0.0] * 8]  # L1 norm 3, L2 norm 3
FLAT = [0.6] * 9  # L1 norm 5.4, L2 norm 1.8
LARGE = [2.0] * 9
LARGER = [2.5] * 9


@pytest.mark.parametrize(
    ("method", "gone"), [("magnitude", 1), ("magnitude-l1", 0), ("lamp", 1)], ids=["L2", "L1", "lamp"]
)
def test_norms_differ_where_one_weight_is_large(method: str, gone: int) -> None:
    """By L2 a flat filter is smallest, by L1 one that is zero but for one weight."""
    network = four_filters([PEAKED, FLAT, LARGE, LARGER])
    assert kept(method, network) == [index for index in range(4) if index != gone]


def test_scales_of_batch_norms_decide_whatever_the_weights_are() -> None:
    """The largest filter goes where its scale is smallest; a negative scale counts by its size."""
    network = four_filters([PEAKED, FLAT, LARGE, LARGER], scales=(1.0, -1.5, 0.5, 0.1))
    assert kept("bn-scale", network) == [0, 1, 2]


def test_a_group_without_a_batch_norm_has_no_scale_and_keeps_its_width() -> None:
    """It is named, and others are cut."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3)
    )
    spec = MethodSpec(name="bn-scale", round_to=1)
    plan = prune(network, nn.Sequential(*network), spec, 0.5, EXAMPLE, seed=0)
    assert plan.widths["0"] == 4
    assert plan.widths["2"] == 2
    assert [(whole.root, whole.reason) for whole in plan.kept_whole] == [
        ("0", "torch-pruning has no scores for it")
    ]


def test_of_equal_scores_each_layer_loses_the_same_share() -> None:
    """Fresh batch norms are all of one scale: over all layers together no more goes than is asked for."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 24, 3), nn.BatchNorm2d(24), nn.Flatten(), nn.Linear(384, 3)),
    )
    spec = MethodSpec(name="bn-scale", round_to=1, scope="global")
    plan = prune(network, copy.deepcopy(network), spec, 0.25, EXAMPLE, seed=0)
    assert (plan.widths["0"], plan.widths["3"]) == (6, 18)


def test_over_all_layers_scales_are_not_relative_to_their_layer() -> None:
    """A layer whose scales are all near zero goes first: a penalty has made it so."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 3)),
    )
    with torch.no_grad():
        network[1].weight.copy_(torch.linspace(0.0005, 0.001, 8))
        network[4].weight.copy_(torch.linspace(0.5, 1.5, 8))
    spec = MethodSpec(name="bn-scale", round_to=1, scope="global")
    plan = prune(network, copy.deepcopy(network), spec, 0.25, EXAMPLE, seed=0)
    assert (plan.widths["0"], plan.widths["3"]) == (4, 8)


@pytest.mark.parametrize("method", ["magnitude", "lamp"])
def test_a_layer_of_zeros_goes_first_over_all_layers(method: str) -> None:
    """Its scores are 0 ÷ 0 to torch-pruning; a ranking with such numbers in it would be none."""
    layers = [nn.Conv2d(1, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.arange(1.0, 9).reshape(8, 1, 1, 1).expand_as(layer.weight))
        layers[0].weight.zero_()
        layers[1].weight.zero_()
    spec = MethodSpec(name=method, round_to=1, scope="global")
    plan = prune(network, copy.deepcopy(network), spec, 0.25, EXAMPLE, seed=0)
    assert [plan.widths[name] for name in "012"] == [2, 8, 8]


def test_the_filter_nearest_to_all_others_goes_even_if_it_is_the_largest() -> None:
    """Three filters in a row: the middle one is most replaceable, and norms say nothing of it."""
    away = [[1.0, *[0.0] * 8], [0.0, 1.0, *[0.0] * 7], [0.4, 0.4, 0.0, 0.0, 1.1, *[0.0] * 4]]
    middle = [0.5, 0.5, 0.0, 0.0, 0.4, *[0.0] * 4]
    assert kept("fpgm", four_filters([*away, middle])) == [0, 1, 2]


def test_a_filter_and_its_negative_are_far_apart() -> None:
    """torch-pruning takes them for one; of a pair that is really close, one goes."""
    sharp = [4.0, 0.0, 0.0, -4.0, *[0.0] * 5]
    opposite = [-value for value in sharp]
    near, nearer = [0.0, 3.0, *[0.0] * 7], [0.1, 2.9, *[0.0] * 7]
    assert set(kept("fpgm", four_filters([sharp, opposite, near, nearer]))) >= {0, 1}


def test_weights_are_what_they_were_after_they_were_scored() -> None:
    """What stays has the very bits that it had, though others stood in for it."""
    torch.manual_seed(3)
    network = four_filters(torch.randn(4, 9).tolist())
    assert len(kept("fpgm", network, 0.5)) == 2

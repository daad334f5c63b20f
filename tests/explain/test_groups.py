"""Groups with their widths, and the same network with others."""

import torch
from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.explain.groups import WidthGroup, rounded, width_groups, with_widths
from pruning_core.models.copying import copy_network
from pruning_core.pruning.step import prune

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Residual(nn.Module):
    """A stem whose width a second layer shares, a layer between them, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.inner = nn.Conv2d(64, 40, 3, padding=1)
        self.back = nn.Conv2d(40, 64, 3, padding=1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 10)."""
        x = self.stem(x).relu()
        x = x + self.back(self.inner(x).relu())
        return self.head(x.mean((2, 3)))


def groups_at(method: MethodSpec, ratio: float) -> list[WidthGroup]:
    """Prune the network and return its groups."""
    dense = Residual().eval()
    network = copy_network(dense)
    plan = prune(network, dense, method, ratio, EXAMPLE, seed=0)
    return width_groups(dense, network, plan, EXAMPLE)


def test_a_group_has_all_layers_of_its_width_and_not_those_that_read_it() -> None:
    """Both ends of a residual connection are one group; the logits are of none."""
    first, second = groups_at(MethodSpec(round_to=1), 0.5)
    assert (set(first.layers), first.dense, first.kept, first.whole) == ({"stem", "back"}, 64, 32, "")
    assert (second.layers, second.dense, second.kept) == (("inner",), 40, 20)


def test_a_group_that_was_kept_says_why() -> None:
    """What the plan lists as kept whole is a group with a reason, also where another layer names it."""
    groups = {group.root: group for group in groups_at(MethodSpec(round_to=1, protect=("inner",)), 0.5)}
    assert groups["inner"].whole == "protected by 'inner'"
    assert groups["inner"].kept == 40
    shared = groups_at(MethodSpec(round_to=1, protect=("back",)), 0.5)
    assert [bool(group.whole) for group in shared] == [True, False]


def test_a_network_is_cut_to_the_widths_that_are_asked_for() -> None:
    """Odd widths too, and wider ones than the pruned network has; a group kept whole stays."""
    dense = Residual().eval()
    groups = groups_at(MethodSpec(round_to=1, protect=("inner",)), 0.5)
    network, plan = with_widths(dense, groups, {groups[0].root: 37, "inner": 8}, EXAMPLE)
    assert plan.widths == {"stem": 37, "inner": 40, "back": 37, "head": 10}
    assert network(EXAMPLE).shape == (1, 10)
    groups = groups_at(MethodSpec(round_to=1), 0.9)
    assert with_widths(dense, groups, {}, EXAMPLE)[1].widths["stem"] == 64


def test_widths_are_rounded_as_the_option_does_it_or_up() -> None:
    """Down to a multiple, but never to nothing; up to a multiple, but never above dense."""

    def of(kept: int, multiple: int, up: bool, unit: int = 1, dense: int = 64) -> int:
        return rounded([WidthGroup("g", ("g",), dense, kept, unit)], multiple, up=up)["g"]

    assert (of(31, 8, False), of(31, 8, True)) == (24, 32)
    assert (of(5, 16, False), of(5, 16, True)) == (16, 16)
    assert of(61, 16, True, dense=62) == 62
    assert (of(32, 16, False), of(32, 16, True)) == (32, 32)
    assert of(30, 8, False, unit=12) == 24
    assert of(64, 48, False) == 64  # not pruned at all
    assert rounded([WidthGroup("g", ("g",), 64, 64, 1, "protected")], 48, up=False) == {}

"""Method `latency-aware`: it cuts what was allocated, exactly, and nothing without an allocation."""

import pytest
import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.pruning.step import prune
from tests.helpers.mask_networks import EXAMPLE, build_tiny


def cut(allocation, ratio=0.5, **fields):
    """Prune the small network to an allocation, and return it with its plan."""
    network = build_tiny()
    method = MethodSpec(name="latency-aware", allocation=allocation, **fields)
    return network, prune(network, build_tiny(), method, ratio, EXAMPLE, seed=0)


def test_each_group_keeps_what_it_was_allocated():
    """Widths are those of the allocation, whatever the ratio, and the cut is proved."""
    for ratio in (0.1, 0.9):
        network, plan = cut({"stem": 12, "inner": 6}, ratio)
        assert (network.stem.out_channels, network.inner.out_channels) == (12, 6)
        assert network.outer.out_channels == 12  # of one group with the stem
        assert plan.proof == "exact"
        assert plan.layers["inner"].requested_outputs == 6


def test_a_group_without_an_allocation_stays_whole():
    """What is not named loses nothing."""
    network, _ = cut({"inner": 6})
    assert (network.stem.out_channels, network.inner.out_channels) == (16, 6)


def test_a_group_is_found_by_any_of_its_layers():
    """The allocation may name any layer whose outputs are cut."""
    network, _ = cut({"outer": 4})
    assert network.stem.out_channels == network.outer.out_channels == 4


def test_the_channels_that_stay_are_those_of_magnitude():
    """Within a group the order is that of `magnitude`."""
    aware, _ = cut({"stem": 8, "inner": 16})
    plain = build_tiny()
    prune(plain, build_tiny(), MethodSpec(), 0.5, EXAMPLE, seed=0)
    for a, b in zip(aware.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_without_an_allocation_it_says_how_to_get_one():
    """One line names the option that has it found."""
    with pytest.raises(PruningError, match="--optimize-for, openvino:int8 say") as error:
        cut({})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("allocation", "said"),
    [
        ({"nothing": 4}, "'nothing' is in no group"),
        ({"fc": 4}, "'fc' is in no group"),
        ({"inner": 33}, "it has 32"),
        ({"inner": 7}, "a multiple of 2"),
        ({"stem": 4, "outer": 6}, "only be cut alike"),
    ],
    ids=str,
)
def test_an_allocation_that_does_not_fit_is_one_line(allocation, said):
    """A layer that is in no group, a width that it cannot have, and two widths for one group are refused."""
    with pytest.raises(PruningError, match=said):
        cut(allocation)


def test_protected_layers_are_in_no_allocation():
    """What is protected cannot be allocated less."""
    with pytest.raises(PruningError, match="'inner' is in no group"):
        cut({"inner": 4}, protect=["inner"])


def test_ratio_one_needs_no_allocation():
    """It removes nothing more, as with any method."""
    network, plan = cut({}, 1.0)
    assert network.stem.out_channels == 16
    assert plan.proof == ""

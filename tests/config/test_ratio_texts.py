"""Schedules of ratios that are written as where they end, and in how many steps."""

from itertools import pairwise

import pytest

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid, read_grid
from pruning_core.errors import OptionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linear:0.9:6", (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)),
        ("linear:0.9:7", (0.129, 0.257, 0.386, 0.514, 0.643, 0.771, 0.9)),
        ("exponential:0.9:6", (0.319, 0.536, 0.684, 0.785, 0.853, 0.9)),
        ("exponential:0.75:2", (0.5, 0.75)),
        ("linear:0.5:1", (0.5,)),
        ("linear:0.9375:3", (0.312, 0.625, 0.9375)),  # where it ends is not rounded
        ("0.05,exponential:0.9:2,0.95", (0.05, 0.684, 0.9, 0.95)),
        (" linear : 0.9 : 3 ", (0.3, 0.6, 0.9)),
    ],
)
def test_schedules(text, expected):
    """`linear` takes equal steps, `exponential` the same share of what is left at each."""
    assert make_grid({"ratios": text}).ratios == expected


def test_a_linear_schedule_is_the_range_of_its_steps():
    """Twenty steps to 1 are the tutorial's ratios, to the last digit: so their keys are the same."""
    assert make_grid({"ratios": "linear:1:20"}).ratios == make_grid({"ratios": "0.05:1.0:0.05"}).ratios


@pytest.mark.parametrize("kind", ["linear", "exponential"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 47, 200, 1000])
def test_steps_are_told_apart_by_their_names(kind, steps):
    """As many cells as steps, each of a name of its own, however close they are."""
    grid = make_grid({"ratios": f"{kind}:0.9:{steps}"})
    ids = [variant.id for variant in variants(grid)]
    assert len(ids) == len(set(ids)) == steps + 1
    assert grid.ratios[-1] == 0.9


def test_each_exponential_step_keeps_the_same_share():
    """Of what a step leaves, the next one leaves about as much again."""
    left = [1.0, *(1 - ratio for ratio in make_grid({"ratios": "exponential:0.9:6"}).ratios)]
    shares = [after / before for before, after in pairwise(left)]
    assert shares == pytest.approx([0.1 ** (1 / 6)] * 6, abs=0.005)


def test_in_a_file_as_on_the_command_line(tmp_path):
    """A grid file takes the same texts, and names the line of one that is wrong."""
    path = tmp_path / "my.toml"
    path.write_text('model = "resnet20"\nratios = "exponential:0.9:3"\n')
    assert read_grid(path).ratios == make_grid({"ratios": "exponential:0.9:3"}).ratios
    path.write_text('model = "resnet20"\nratios = "exponential:0.9"\n')
    with pytest.raises(OptionError, match=r"exponential:0\.9:6, with 1 to 1000 steps.*my\.toml, line 2"):
        read_grid(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exponential:1:3", "above 0 and below 1: of what is left some always stays"),
        ("linear:1.2:3", "above 0 and at most 1"),
        ("linear:0:3", "above 0"),
        ("linear:-0.5:3", "above 0"),
        ("linear:nan:3", "such as linear:0.9:6"),
        ("linear:0.9", "such as linear:0.9:6"),
        ("linear", "such as linear:0.9:6"),
        ("exponential:0.9:6:2", "such as exponential:0.9:6"),
        ("exponential:0.9:0", "with 1 to 1000 steps"),
        ("exponential:0.9:2.5", "with 1 to 1000 steps"),
        ("exponential:0.9:1001", "with 1 to 1000 steps"),
        ("exponential:0.9:1e20", "with 1 to 1000 steps"),
        ("exponental:0.9:6", "linear:stop:steps or exponential:stop:steps; got 'exponental:0.9:6'"),
        ("linear:0.000001:5", "do not tell them apart"),
        ("linear:0.9:3,0.5", "a schedule only goes up; 0.5 follows 0.9"),
        ("linear:0.9:600,exponential:0.95:600", "at most 1000|goes up"),
    ],
)
def test_what_is_no_schedule_gets_one_line(text, expected):
    """It says what is allowed, and what it got."""
    with pytest.raises(OptionError, match=expected) as caught:
        make_grid({"ratios": text})
    assert "\n" not in str(caught.value)

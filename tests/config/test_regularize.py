"""The section `[regularize]`: strengths for all methods or for each, and what is no strength."""

import pytest

from pruning_core.config.grid import make_grid
from pruning_core.config.regularize import RegularizeOptions
from pruning_core.errors import OptionError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), (0.5, 0.5)),
        (0.25, (0.25, 0.25)),
        (0, (0.0, 0.0)),
        ({"slimming": 0.1}, (0.1, 0.5)),
        ({"slimming": 0.1, "": 0.2}, (0.1, 0.2)),
        ([("group-norm", 1)], (0.5, 1.0)),
    ],
)
def test_a_methods_own_strength_counts_before_that_of_all(given, expected):
    """Then its default."""
    options = RegularizeOptions(strength=given)
    assert tuple(options.strength_of(name, 0.5) for name in ("slimming", "group-norm")) == expected


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"strength": "much"}, "regularize.strength: needs a number, or a table of them, .* got 'much'"),
        ({"strength": -1.0}, "the strength of a penalty is from 0 to 1000; got -1.0"),
        ({"strength": {"slimming": True}}, "got True for 'slimming'"),
        ({"strength": {"slimming": float("nan")}}, "got nan for 'slimming'"),
        ({"strength": float("inf")}, "got inf"),
        ({"epochs": 0}, "regularize.epochs: input should be greater than or equal to 1"),
        ({"growth": -1.0}, "regularize.growth"),
        ({"strenght": 1.0}, "no option 'regularize.strenght' in a grid. Did you mean 'strength'"),
    ],
)
def test_what_is_no_option_is_refused_in_a_line(section, said):
    """Each with its key."""
    with pytest.raises(OptionError, match=said):
        make_grid({"regularize": section})

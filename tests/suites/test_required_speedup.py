"""What a suite requires of a speed-up is known, or its test fails, or is skipped."""

import pytest

from pruning_core import pytest_plugin
from pruning_core.errors import OptionError


def speedup_record(low, value, high, **fields):
    """Return a record as `require_speedup` needs it."""
    return {
        "cell": "net-b1",
        "suite": "latency",
        "speedup": value,
        "speedup_low": low,
        "speedup_high": high,
        "contaminated": False,
        "contention": "",
        **fields,
    }


def test_a_required_speedup_is_known_or_fails_with_figures():
    """The lower bound must reach what is asked for; else the test fails, with the interval."""
    pytest_plugin.require_speedup(speedup_record(2.0, 2.2, 2.4), at_least=2.0)
    with pytest.raises(pytest.fail.Exception, match=r"net-b1: speed-up 1.20 \[1.10, 1.30\] is below 2"):
        pytest_plugin.require_speedup(speedup_record(1.1, 1.2, 1.3), at_least=2.0)
    with pytest.raises(pytest.fail.Exception, match=r"2.10 \[1.90, 2.30\] is not known to reach 2"):
        pytest_plugin.require_speedup(speedup_record(1.9, 2.1, 2.3), at_least=2.0)


@pytest.mark.parametrize("contention", ["other processes took 40 % of the CPU", ""])
def test_contaminated_times_prove_nothing(contention):
    """A contaminated record is skipped with what disturbed it, fast or slow."""
    record = speedup_record(0.3, 0.36, 0.4, contaminated=True, contention=contention)
    with pytest.raises(pytest.skip.Exception, match=contention or "an A/A control"):
        pytest_plugin.require_speedup(record, at_least=2.0)


@pytest.mark.parametrize("at_least", [0, -1.0, float("nan")])
def test_a_speedup_that_cannot_be_is_refused(at_least):
    """A ratio of 0 or less, or a record without a speed-up, is a mistake of the suite's."""
    with pytest.raises(OptionError, match="a ratio above 0"):
        pytest_plugin.require_speedup(speedup_record(1, 1, 1), at_least)
    with pytest.raises(OptionError, match="'cost'"):
        pytest_plugin.require_speedup({"suite": "cost"}, 2.0)

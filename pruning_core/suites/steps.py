"""What a suite's test calls: record samples, skip where nothing is timed, require a speed-up."""

import os
from collections.abc import Sequence
from numbers import Real
from typing import Any

import pytest

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.records.fields import Record

NOT_TIMED = "times are not measured"
CONTAMINATED = "times are contaminated"


def not_timed_reason(config: pytest.Config) -> str:
    """Say why nothing is timed in this run; empty when cells are timed.

    pytest-benchmark decides in the same way; asked here, so that it holds for suites without its fixture too.
    """
    if os.environ.get("PYTEST_XDIST_WORKER") or config.getoption("dist", "no") != "no":
        return f"xdist would run cells side by side: {NOT_TIMED}"
    if config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable", False):
        return f"--benchmark-disable is given: {NOT_TIMED}"
    if config.getoption("benchmark_skip", False) and not config.getoption("benchmark_only", False):
        return f"--benchmark-skip is given: {NOT_TIMED}"
    return ""


def skip_unless_timing(benchmark: Any) -> None:
    """Skip a timed test where pytest-benchmark is switched off: by --benchmark-disable, or under xdist."""
    if benchmark.disabled:
        pytest.skip(f"benchmarks are switched off (--benchmark-disable, or xdist): {NOT_TIMED}")


def record_samples(benchmark: Any, samples_s: Sequence[float], record: Record) -> None:
    """Give pytest-benchmark samples that we took ourselves, and the record with them.

    Args:
        benchmark: pytest-benchmark's fixture, not used before.
        samples_s: Seconds per call, one for each sample.
        record: Becomes the entry's `extra_info`.
    """
    skip_unless_timing(benchmark)
    # The fixture has no public way to take samples; its own pedantic mode does just this (5.1 to 5.3).
    benchmark._mode = "pruning-bench"
    benchmark.extra_info.update(record)
    stats = benchmark._make_stats(1)
    for sample_s in samples_s:
        stats.update(sample_s)


def require_speedup(record: Record, at_least: float) -> None:
    """Fail unless a cell is known to be `at_least` times as fast as its reference.

    Times that are contaminated prove nothing: then the test is skipped, with the reason.

    Args:
        record: Of a latency or training cell.
        at_least: Reference time ÷ this time, as a ratio above 0; the record's lower bound must reach it.

    Raises:
        OptionError: If the record holds no speed-up, or `at_least` is no ratio.
    """
    if isinstance(at_least, bool) or not isinstance(at_least, Real) or not at_least > 0:
        raise OptionError(
            f"require_speedup: at_least is a ratio above 0, for example 2.0; got {shown(at_least)}"
        )
    if "speedup_low" not in record:
        raise OptionError(
            f"require_speedup: takes the record of a latency or training cell; got one of the suite "
            f"{record.get('suite', '?')!r}"
        )
    if record["contaminated"]:
        why = record["contention"] or "an A/A control of this run left the tolerance"
        pytest.skip(f"{CONTAMINATED}: {why} ({_measured(record)})")
    if record["speedup_low"] >= at_least:
        return
    known = "is below" if record["speedup_high"] < at_least else "is not known to reach"
    pytest.fail(f"{record['cell']}: {_measured(record)} {known} {at_least:g}", pytrace=False)


def _measured(record: Record) -> str:
    return f"speed-up {record['speedup']:.2f} [{record['speedup_low']:.2f}, {record['speedup_high']:.2f}]"

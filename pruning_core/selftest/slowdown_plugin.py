"""A pytest plugin that makes a backend slower by real work: `-p pruning_core.selftest.slowdown_plugin`.

The environment says what is slowed: with `PRUNING_BENCH_SLOWDOWN="openvino=0.10"` each timed call of that
backend is followed by arithmetic for a tenth of its time; `*` instead of a name slows every backend. Without
the variable nothing changes, so that runs with and without a slow-down are otherwise alike.
"""

import os

import pytest

from pruning_core.config.cells import Cell
from pruning_core.selftest.latency_trials import with_extra_work
from pruning_core.suites.wrapped_calls import WRAP_CALL, WrapCall
from pruning_core.system.clock import Call

VARIABLE = "PRUNING_BENCH_SLOWDOWN"
EVERY_BACKEND = "*"


def pytest_configure(config: pytest.Config) -> None:
    """Slow down what the environment names, before anything is loaded."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        backend, _, slowdown = asked.partition("=")
        config.stash[WRAP_CALL] = slow_down(backend, float(slowdown))


def slow_down(backend: str, slowdown: float) -> WrapCall:
    """Return what makes each timed call of a backend do more work.

    Args:
        backend: A name in BACKENDS, or `*` for every one.
        slowdown: The work, as a fraction of the call's own time.
    """

    def with_more_work(cell: Cell, call: Call) -> Call:
        return with_extra_work(call, slowdown) if backend in (cell.backend, EVERY_BACKEND) else call

    return with_more_work

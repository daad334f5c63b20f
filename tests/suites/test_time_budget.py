"""Where the time of a run went: each second once."""

import pytest

from pruning_core.suites.time_budget import TimeBudget


@pytest.fixture
def clock():
    """A clock that is set by hand, and a budget on it."""
    now = [0.0]
    return now, TimeBudget(clock=lambda: now[0])


def test_each_block_counts_as_what_it_is(clock):
    """Four kinds of block, four counters."""
    now, budget = clock
    for seconds, block in enumerate(
        (budget.timed, budget.idle_wait, budget.backend_setup, budget.checkpoints), start=1
    ):
        for _ in range(2):
            with block():
                now[0] += seconds
    spent = (budget.timed_s, budget.idle_wait_s, budget.backend_setup_s, budget.checkpoints_s)
    assert spent == (2, 4, 6, 8)


def test_a_wait_inside_of_what_is_timed_is_a_wait(clock):
    """It is not counted twice."""
    now, budget = clock
    with budget.timed():
        now[0] += 1
        with budget.idle_wait():
            now[0] += 10
        now[0] += 2
    assert (budget.timed_s, budget.idle_wait_s) == (3, 10)

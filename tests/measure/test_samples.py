"""Samples of the paired protocol: long enough, warmed up, alike in every round, no garbage collected."""

import gc
import math

import pytest

from pruning_core.config.latency_options import LatencyOptions
from tests.helpers.timed_machine import (
    ONE_CALL_A_SAMPLE,
    Machine,
    measure,
    measure_pair,
)


def test_every_sample_lasts_as_long_as_asked() -> None:
    """The calls of a sample last at least `sample_ms`, for the fast and for the slow of a pair."""
    timing = measure(Machine(), 0.003, 0.0007, LatencyOptions(min_rounds=5, max_rounds=5, sample_ms=20))
    assert timing.reference_calls_per_sample == 7  # 21 ms
    assert timing.calls_per_sample == 29  # 20.3 ms


def test_a_sample_that_is_too_short_is_made_longer() -> None:
    """When calls are faster than the warm-up said, more of them make a sample."""
    machine = Machine()

    def warms_up_late() -> None:
        machine.now += 0.010 if len(machine.log) < 6 else 0.001
        machine.log.append("A")

    timing = measure_pair(
        warms_up_late,
        warms_up_late,
        LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0),
        clock=machine.clock,
    )
    assert timing.calls_per_sample == pytest.approx(20, abs=1)


def test_a_stall_at_the_end_of_warm_up_does_not_shorten_samples() -> None:
    """On a machine that stalls now and then, samples get as many calls as the model's own speed asks."""
    machine = Machine()

    def stalls() -> None:
        machine.log.append("A")
        warming_up = len(machine.log) > 200 and machine.now < 1.0
        machine.now += 0.2 if warming_up else 0.001

    timing = measure_pair(
        stalls, stalls, LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=150), clock=machine.clock
    )
    assert timing.calls_per_sample == pytest.approx(20, abs=1)
    assert timing.reference_calls_per_sample == pytest.approx(20, abs=1)


def test_warm_up_lasts_for_each_of_the_pair() -> None:
    """Both are warmed up for `warmup_ms`, not both together, and interleaved."""
    machine = Machine()
    measure(machine, 0.011, 0.011, LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=300, sample_ms=20))
    warm_up = list("AABB") * 14  # bursts of 22 ms; 14 of them are 308 ms
    assert machine.log[:57] == [*warm_up, "A"]


def test_warm_up_goes_on_until_steady() -> None:
    """Calls that get faster at first are not yet measured, though the minimum warm-up is over."""
    machine = Machine()

    def model(name: str):
        def call() -> None:
            machine.now += max(0.011, 0.200 - 0.005 * len(machine.log))
            machine.log.append(name)

        return call

    options = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=1100, sample_ms=1)
    timing = measure_pair(model("A"), model("B"), options, clock=machine.clock)
    assert timing.reference_s == pytest.approx([0.011] * 10)


def test_warm_up_does_not_go_on_for_ever() -> None:
    """A model that is never steady is measured all the same, after twice the minimum warm-up."""
    machine = Machine(drift=0.05)
    measure(machine, 0.010, 0.010, LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=200, sample_ms=1))
    turns = "".join(machine.log).index("AA") // 2  # A B A B …, then the first round: A is rewarmed, and timed
    a_spent = [0.010 * math.exp(0.05 * done) for done in range(0, 2 * turns, 2)]
    assert sum(a_spent[:-1]) < 0.4 <= sum(a_spent)


def test_calls_of_a_plan_are_equal_in_every_round() -> None:
    """A and B run exactly as many timed calls in each round as the plan says."""
    machine = Machine()
    timing = measure(
        machine, 0.004, 0.004, LatencyOptions(min_rounds=6, max_rounds=6, sample_ms=8, warmup_ms=0)
    )
    assert timing.calls_per_sample == timing.reference_calls_per_sample == 2
    one_round = list("AAAA" + "AA" + "BBBB" + "BBBB" + "AAAA" + "AA")  # 15 ms of rewarming are 4 calls
    assert machine.log[-len(one_round) * 6 :] == one_round * 6


def test_garbage_collector_is_off_while_measuring_and_back_on_after() -> None:
    """No collection falls into a sample; what was on before is on again."""
    machine, seen = Machine(), []

    def call() -> None:
        seen.append(gc.isenabled())
        machine.now += 0.1

    gc.enable()
    measure_pair(call, call, ONE_CALL_A_SAMPLE, clock=machine.clock)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_garbage_collector_comes_back_after_a_failure() -> None:
    """A model that fails while it is timed does not leave the collector off."""

    def fails() -> None:
        raise MemoryError

    gc.enable()
    with pytest.raises(MemoryError):
        measure_pair(fails, fails, ONE_CALL_A_SAMPLE, clock=Machine().clock)
    assert gc.isenabled()


def test_garbage_collector_stays_off_when_it_was_off() -> None:
    """A program that runs without the collector is left without it."""
    gc.disable()
    try:
        measure(Machine(), 0.1, 0.1, ONE_CALL_A_SAMPLE)
        assert not gc.isenabled()
    finally:
        gc.enable()

"""Groups that are interleaved: in which order, after which wait, and until when."""

import math
import random
from collections.abc import Callable

import pytest

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.measure.interleaved import measure_interleaved
from tests.helpers.timed_machine import GROWING, IDLE, ONE_CALL_A_SAMPLE, Machine


def test_groups_run_one_round_each() -> None:
    """The rounds of each group are spread over the whole time; the next one waits for the other."""
    machine, waits = Machine(), []
    groups = [
        ReferenceGroup(machine.model("a", 0.1), [machine.model("b", 0.2)], 60.0),
        ReferenceGroup(machine.model("c", 0.3), [machine.model("d", 0.1), machine.model("e", 0.1)], 60.0),
    ]
    (first,), second = measure_interleaved(
        groups, ONE_CALL_A_SAMPLE, clock=machine.clock, wait_until_idle=lambda: waits.append(len(machine.log))
    )
    turns = ("".join(machine.log))[len("ab" + "cde") :]
    rounds = [turns[i : i + 10] for i in range(0, 70, 10)]
    assert len(turns) == 70
    assert set(rounds) == {"abbacdeedc", "cdeedcabba"}, "in random order"
    assert first.speedup == pytest.approx(0.5)
    assert [timing.speedup for timing in second] == pytest.approx([3.0, 3.0])
    assert [timing.rounds for timing in (first, *second)] == [7, 7, 7]
    # Before each round, at 2 switches in a round of the one and 4 in one of the other, and before the number
    # of calls in a sample is planned for each of the five.
    assert len(waits) == 7 * (1 + 2 + 1 + 4) + 5


def test_waits_until_the_threads_of_the_call_before_are_idle() -> None:
    """A runtime whose threads spin for 45 ms after its calls does not slow down the other one's samples."""
    machine = Machine()
    spins_until = 0.0

    def spinner() -> None:
        nonlocal spins_until
        machine.now += 0.02
        spins_until = machine.now + 0.045

    def other() -> None:
        machine.now += 0.03 if machine.now < spins_until else 0.01

    def wait_until_idle() -> None:
        machine.now = max(machine.now, spins_until)

    options = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0, sample_ms=1)
    group = ReferenceGroup(spinner, [other], 60.0)
    ((timing,),) = measure_interleaved([group], options, clock=machine.clock, wait_until_idle=wait_until_idle)
    assert timing.candidate_s == pytest.approx([0.01] * 10)
    assert timing.speedup == pytest.approx(2.0)


def test_one_pool_of_threads_goes_on_without_a_wait() -> None:
    """Between two calls of a pool nothing waits; before a round, and where the pool changes, it does."""
    machine, waits = Machine(), []
    calls = [machine.model(name, 0.1) for name in "abcde"]
    group = ReferenceGroup(calls[0], calls[1:], 60.0, thread_pools=["one", "one", "other", "", ""])
    measure_interleaved(
        [group],
        ONE_CALL_A_SAMPLE,
        clock=machine.clock,
        wait_until_idle=lambda: waits.append(len(machine.log)),
    )
    played = waits[5:]  # the first five were before the number of calls in a sample was planned
    turns = "".join(machine.log)[played[0] :]
    assert turns == "abcdeedcba" * 7
    assert [turns[at - played[0] :][:1] for at in played] == list("acdedcb") * 7


def test_all_groups_end_together() -> None:
    """A group that its time ends and one that its rounds end are both spread over the whole time."""
    machine = Machine()
    noise = random.Random(2)

    def noisy(cost_s: float) -> Callable[[], None]:
        def call() -> None:
            machine.now += cost_s * math.exp(noise.gauss(0, 0.3))

        return call

    groups = [
        ReferenceGroup(noisy(1.0), [noisy(1.0)], 100.0),
        ReferenceGroup(noisy(0.02), [noisy(0.02)], 100.0),
    ]
    rounds_at: list[tuple[float, int]] = []
    ((slow,), (fast,)) = measure_interleaved(
        groups,
        GROWING,
        clock=machine.clock,
        **IDLE,
        after_round=lambda done, planned: rounds_at.append((machine.now, done)),
    )
    assert 20 < slow.rounds < 30
    assert fast.rounds == 40
    half = machine.now / 2
    done_by_half = max(done for at_s, done in rounds_at if at_s <= half)
    assert done_by_half == pytest.approx((slow.rounds + fast.rounds) / 2, rel=0.15)


def test_a_state_of_the_machine_is_shared_by_all_groups() -> None:
    """A machine that favours candidates for a while does so in some rounds of each, not in all of one."""
    machine = Machine()

    def reference() -> None:
        machine.now += 0.1

    def candidate() -> None:
        machine.now += 0.1 if machine.now < 6.0 else 0.15

    options = LatencyOptions(min_rounds=20, max_rounds=20, warmup_ms=0, sample_ms=1)
    groups = [ReferenceGroup(reference, [candidate], 60.0) for _ in range(2)]
    for (timing,) in measure_interleaved(groups, options, clock=machine.clock, **IDLE):
        favoured = [ratio > 0.2 for ratio in timing.log_ratios]
        assert 5 <= sum(favoured) <= 15


def test_a_group_that_is_known_leaves_the_others_alone() -> None:
    """The steady group is done at its first look; the noisy one goes on, within its own limit of time."""
    machine = Machine(noise=0.0)
    noise = random.Random(2)

    def noisy() -> None:
        machine.now += 0.1 * math.exp(noise.gauss(0, 0.3))

    steady = ReferenceGroup(machine.model("a", 0.1), [machine.model("b", 0.1)], 1.0)
    (known,), (open_one,) = measure_interleaved(
        [steady, ReferenceGroup(noisy, [noisy], 60.0)], GROWING, clock=machine.clock, **IDLE
    )
    assert (known.rounds, open_one.rounds) == (10, 40)

"""Cores that hand work over slowly for a while: how that is read, and which rounds count then."""

import math
import random
from collections.abc import Callable

import pytest
import torch

from pruning_core.config.grid import LatencyOptions
from pruning_core.measure.interleaved import Group, measure_interleaved
from pruning_core.measure.paired import PairedTiming
from pruning_core.system.fork_join import ATEN_GRAIN_SIZE, ForkJoinMonitor, measure_fork_join
from tests.helpers.timed_machine import AT_REST, GROWING, Machine

FAST_S, SLOW_S = 4e-6, 6e-6


class MoodyMachine(Machine):
    """A machine whose small networks take twice as long while `is_slow(now)`, and with them a hand-over."""

    def __init__(self, is_slow: Callable[[float], bool], noise: float = 0.001, drift: float = 0.0) -> None:
        super().__init__(drift, noise)
        self._is_slow = is_slow

    def small(self, cost_s: float) -> Callable[[], None]:
        """Return a callable that takes `cost_s`, or twice that."""
        alone = self.model("small", cost_s)

        def call() -> None:
            alone()
            if self._is_slow(self.now):
                alone()

        return call

    def handover(self) -> float:
        """Read how long a hand-over takes now."""
        return SLOW_S if self._is_slow(self.now) else FAST_S

    def measure(
        self, options: LatencyOptions = GROWING, budget_s: float = 60.0, together: bool = False
    ) -> PairedTiming:
        """Measure a small network against a large one, which has no moods, beside one that is never known.

        Args:
            options: Of the measurement.
            budget_s: Of time for the small network.
            together: Whether both networks are candidates of one reference.
        """
        noise = random.Random(1)
        large, small = self.model("large", 0.1), self.small(0.01)

        def never_known() -> None:
            for _ in range(noise.choice([1, 2, 3])):
                large()

        pairs = [Group(large, [small], budget_s), Group(large, [never_known], 10.0)]
        if together:
            pairs = [Group(large, [small, never_known], budget_s)]
        return measure_interleaved(pairs, options, clock=self.clock, handover=self.handover, **AT_REST)[0][0]


def test_rounds_in_a_slow_mood_do_not_count() -> None:
    """What comes out is the speed-up of the usual mood, with samples and calls of those rounds only."""
    timing = MoodyMachine(lambda now: 2.0 < now < 5.0).measure()
    assert timing.speedup == pytest.approx(10.0, rel=0.002)
    assert max(timing.candidate_s) < 0.011
    assert max(timing.calls_s) < 0.011
    assert timing.rounds_rejected >= 3
    assert len(timing.candidate_s) == len(timing.reference_s) == len(timing.calls_s) == 2 * timing.rounds
    assert list(timing.fork_join_s) == [FAST_S] * timing.rounds


def test_samples_stay_with_the_reference_of_their_own_round() -> None:
    """A drift that only pairs can cancel does cancel, though rounds in between are left out."""
    machine = MoodyMachine(lambda now: now % 3.0 > 2.0, noise=0.0, drift=0.002)
    timing = machine.measure(
        LatencyOptions(min_rounds=10, max_rounds=40, target_error=1e-9, warmup_ms=0, sample_ms=1)
    )
    assert timing.rounds_rejected > 0
    assert timing.reference_s[-1] > 1.2 * timing.reference_s[0]  # the drift is there
    assert timing.speedup == pytest.approx(10.0, rel=0.005)


def test_a_round_in_which_the_mood_changed_does_not_count() -> None:
    """The slower of the readings before and after a round is that of the round."""
    readings = iter([FAST_S, SLOW_S, FAST_S, FAST_S])
    mood = ForkJoinMonitor(lambda: next(readings), lambda: None)
    assert [mood.read() for _ in range(4)] == [FAST_S, SLOW_S, SLOW_S, FAST_S]


def test_who_was_known_in_a_slow_mood_is_measured_again() -> None:
    """An interval that was narrow before it showed that the mood was an unusual one is not the last word."""
    timing = MoodyMachine(lambda now: now < 8.0).measure()
    assert timing.speedup == pytest.approx(10.0, rel=0.002)
    assert timing.rounds_rejected == 10, "known at the first look"
    assert timing.rounds == 10


def test_rounds_in_between_are_no_one_elses() -> None:
    """Who is measured again after others went on is paired with the reference of its own, later rounds."""
    machine = MoodyMachine(lambda now: now < 8.0, noise=0.0, drift=0.001)
    timing = machine.measure(together=True)
    assert (timing.rounds, timing.rounds_rejected) == (10, 10)
    assert timing.reference_s[0] > 0.12, "long after the first rounds, which took 0.1 s"
    assert timing.speedup == pytest.approx(10.0, rel=0.01)


def test_to_measure_again_has_an_end() -> None:
    """A network that never meets the usual mood has as many rounds as any may have, or as its time allows."""
    for budget_s, expected in ((60.0, 40), (4.0, 14)):
        machine = MoodyMachine(lambda now: True)
        # Its own hand-overs are slow, those between rounds of the other one are fast.
        machine.handover = lambda machine=machine: SLOW_S if "small" in machine.log[-5:] else FAST_S
        timing = machine.measure(budget_s=budget_s)
        assert timing.rounds == pytest.approx(expected, abs=2 if expected < 40 else 0)
        assert timing.rounds_rejected == 0
        assert set(timing.fork_join_s) == {SLOW_S}


def test_who_is_measured_again_goes_on_until_it_is_known() -> None:
    """Steady in the slow mood, scattered in the usual one: the next planned look follows."""
    noise = random.Random(0)
    machine = MoodyMachine(lambda now: now < 8.0)

    def steady_when_slow() -> None:
        machine.now += 0.02 if machine.now < 8.0 else 0.01 * math.exp(noise.gauss(0.0, 0.3))

    machine.small = lambda cost_s: steady_when_slow
    timing = machine.measure()
    assert (timing.rounds, timing.rounds_rejected) == (30, 10)


def test_too_few_rounds_are_no_answer() -> None:
    """Where fewer rounds fell into the usual mood than the first look takes, all count, and scatter shows."""
    timing = MoodyMachine(lambda now: now > 3.0).measure(budget_s=4.0)
    assert timing.rounds_rejected == 0
    assert 1 <= list(timing.fork_join_s).count(FAST_S) < 10
    assert SLOW_S in timing.fork_join_s


def test_a_machine_that_is_always_slow_is_measured_as_it_is() -> None:
    """What is usual is what most rounds are like; nothing is left out, and it takes no longer."""
    timing = MoodyMachine(lambda now: True).measure()
    assert (timing.rounds, timing.rounds_rejected) == (10, 0)
    assert timing.speedup == pytest.approx(5.0, rel=0.002)


def test_what_is_usual_is_little_more_than_the_faster_readings() -> None:
    """One lucky reading makes no mood; readings that lie within a quarter of one another are of one."""
    readings_s = [0.1 * FAST_S, *[FAST_S] * 10, *[SLOW_S] * 9]
    random.Random(0).shuffle(readings_s)
    source = iter(readings_s)
    mood = ForkJoinMonitor(lambda: next(source), lambda: None)
    for _ in readings_s:
        mood.read()
    assert mood.usual_limit_s == pytest.approx(1.25 * FAST_S)


def test_the_reading_comes_at_rest() -> None:
    """Threads that still spin would be in its way: it waits for them."""
    events: list[str] = []

    def call() -> None:
        machine.now += 0.1
        events.append("call")

    machine = Machine()
    measure_interleaved(
        [Group(call, [call], 60.0)],
        LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0, sample_ms=1),
        clock=machine.clock,
        rest=lambda: events.append("rest"),
        handover=lambda: events.append("read") or FAST_S,
    )
    reads = [at for at, event in enumerate(events) if event == "read"]
    assert len(reads) == 1 + 5
    assert all(events[at - 1] == "rest" for at in reads)
    assert events[reads[1] - 2] == "call"


def test_without_a_reading_nothing_is_left_out() -> None:
    """On one thread, or a GPU, no hand-over is read, and the record says none."""
    machine = Machine(noise=0.1)
    group = Group(machine.model("a", 0.1), [machine.model("b", 0.1)], 60.0)
    ((timing,),) = measure_interleaved([group], GROWING, clock=machine.clock, **AT_REST)
    assert timing.rounds_rejected == 0
    assert set(timing.fork_join_s) == {0.0}


def test_a_handover_is_timed_in_seconds() -> None:
    """It is the median time of the smallest addition that goes to all threads, on a clock that may be odd."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1e-5
        return now

    assert measure_fork_join(clock) == pytest.approx(1e-5)


def test_a_neighbour_does_not_hold_the_reading_up() -> None:
    """Where each call waits a slice of time for its core, one of them has to do."""
    now, asked = 0.0, 0

    def clock() -> float:
        nonlocal now, asked
        now, asked = now + 0.004, asked + 1
        return now

    assert measure_fork_join(clock) == pytest.approx(0.004)
    assert asked <= 5


def test_the_addition_is_the_smallest_that_all_threads_share(monkeypatch) -> None:
    """One grain for each thread: less would not be split, more would be arithmetic."""
    sizes: list[int] = []
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda size: sizes.append(size) or zeros(size))
    assert math.isfinite(measure_fork_join())
    assert sizes == [ATEN_GRAIN_SIZE * torch.get_num_threads()]

"""Fork–join latency: how it is read, which rounds count then, and when it decides nothing."""

import math
import random
from collections.abc import Callable

import pytest
import torch

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.measure.interleaved import measure_interleaved
from pruning_core.measure.paired import PairedTiming
from pruning_core.system.fork_join import ATEN_GRAIN_SIZE, MachineState, measure_fork_join, usual_limit_s
from tests.helpers.timed_machine import GROWING, IDLE, Machine

FAST_S, SLOW_S = 4e-6, 6e-6


class TwoStateMachine(Machine):
    """A machine whose small networks take twice as long while `is_slow(now)`, and fork–join longer too."""

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

    def fork_join(self) -> float:
        """Read the fork–join latency of this moment."""
        return SLOW_S if self._is_slow(self.now) else FAST_S

    def measure(
        self, options: LatencyOptions = GROWING, budget_s: float = 60.0, one_group: bool = False
    ) -> PairedTiming:
        """Measure a small network against a large one, the same in both states, beside one never known.

        Args:
            options: Of the measurement.
            budget_s: Of time for the small network.
            one_group: Whether both networks are candidates of one reference.
        """
        noise = random.Random(1)
        large, small = self.model("large", 0.1), self.small(0.01)

        def never_known() -> None:
            for _ in range(noise.choice([1, 2, 3])):
                large()

        groups = [ReferenceGroup(large, [small], budget_s), ReferenceGroup(large, [never_known], 10.0)]
        if one_group:
            groups = [ReferenceGroup(large, [small, never_known], budget_s)]
        state = MachineState(self.fork_join, lambda: None)
        return measure_interleaved(groups, options, clock=self.clock, state=state, **IDLE)[0][0]


def state_after(readings_s: list[float]) -> MachineState:
    """Return a state that has seen these readings."""
    source = iter(readings_s)
    state = MachineState(lambda: next(source), lambda: None)
    for _ in readings_s:
        state.read()
    return state


def test_rounds_in_the_slow_state_do_not_count() -> None:
    """The result is the speed-up of the usual state, with samples and calls of those rounds only."""
    timing = TwoStateMachine(lambda now: 2.0 < now < 5.0).measure()
    assert timing.speedup == pytest.approx(10.0, rel=0.002)
    assert max(timing.candidate_s) < 0.011
    assert max(timing.call_times_s) < 0.011
    assert timing.rounds_rejected >= 3
    assert len(timing.candidate_s) == len(timing.reference_s) == len(timing.call_times_s) == 2 * timing.rounds
    assert list(timing.fork_join_s) == [FAST_S] * timing.rounds


def test_samples_stay_with_the_reference_of_their_own_round() -> None:
    """A drift that only pairs can cancel does cancel, though rounds in between are rejected."""
    machine = TwoStateMachine(lambda now: now % 3.0 > 2.0, noise=0.0, drift=0.002)
    timing = machine.measure(
        LatencyOptions(min_rounds=10, max_rounds=40, target_error=1e-9, warmup_ms=0, sample_ms=1)
    )
    assert timing.rounds_rejected > 0
    assert timing.reference_s[-1] > 1.2 * timing.reference_s[0]  # the drift is there
    assert timing.speedup == pytest.approx(10.0, rel=0.005)


def test_a_round_in_which_the_state_changed_does_not_count() -> None:
    """The slower of the readings before and after a round is that of the round."""
    readings = iter([FAST_S, SLOW_S, FAST_S, FAST_S])
    state = MachineState(lambda: next(readings), lambda: None)
    assert [state.read() for _ in range(4)] == [FAST_S, SLOW_S, SLOW_S, FAST_S]


def test_a_candidate_known_in_the_slow_state_resumes() -> None:
    """An interval that was narrow before the usual state was known is not the last word."""
    timing = TwoStateMachine(lambda now: now < 8.0).measure()
    assert timing.speedup == pytest.approx(10.0, rel=0.002)
    assert timing.rounds_rejected == 10, "known at the first look"
    assert timing.rounds == 10


def test_a_resumed_candidate_is_paired_with_its_own_rounds() -> None:
    """A candidate that resumes after others went on is paired with the reference of its later rounds."""
    machine = TwoStateMachine(lambda now: now < 8.0, noise=0.0, drift=0.001)
    timing = machine.measure(one_group=True)
    assert (timing.rounds, timing.rounds_rejected) == (10, 10)
    assert timing.reference_s[0] > 0.12, "long after the first rounds, which took 0.1 s"
    assert timing.speedup == pytest.approx(10.0, rel=0.01)


def test_to_resume_has_an_end() -> None:
    """A network that never meets the usual state has as many rounds as any may have, or its time allows."""
    for budget_s, expected in ((60.0, 40), (4.0, 14)):
        machine = TwoStateMachine(lambda now: True)
        # Readings after its own rounds are slow, those between rounds of the other one are fast.
        machine.fork_join = lambda machine=machine: SLOW_S if "small" in machine.log[-5:] else FAST_S
        timing = machine.measure(budget_s=budget_s)
        assert timing.rounds == pytest.approx(expected, abs=2 if expected < 40 else 0)
        assert timing.rounds_rejected == 0
        assert set(timing.fork_join_s) == {SLOW_S}


def test_a_resumed_candidate_goes_on_until_it_is_known() -> None:
    """Steady in the slow state, scattered in the usual one: the next planned look follows."""
    noise = random.Random(0)
    machine = TwoStateMachine(lambda now: now < 8.0)

    def steady_when_slow() -> None:
        machine.now += 0.02 if machine.now < 8.0 else 0.01 * math.exp(noise.gauss(0.0, 0.3))

    machine.small = lambda cost_s: steady_when_slow
    timing = machine.measure()
    assert (timing.rounds, timing.rounds_rejected) == (30, 10)


def test_too_few_rounds_are_no_answer() -> None:
    """Where fewer rounds than the first look takes were in the usual state, all count, and scatter shows."""
    timing = TwoStateMachine(lambda now: now > 3.0).measure(budget_s=4.0)
    assert timing.rounds_rejected == 0
    assert 1 <= list(timing.fork_join_s).count(FAST_S) < 10
    assert SLOW_S in timing.fork_join_s


def test_a_machine_that_is_always_slow_is_measured_as_it_is() -> None:
    """Readings of one kind reject nothing, slow as they are, and it takes no longer."""
    timing = TwoStateMachine(lambda now: True).measure()
    assert (timing.rounds, timing.rounds_rejected) == (10, 0)
    assert timing.speedup == pytest.approx(5.0, rel=0.002)


def scattered(center_s: float, count: int, deviation: float = 0.02) -> list[float]:
    """Return readings of one state of the machine."""
    noise = random.Random(count)
    return [center_s * math.exp(noise.gauss(0.0, deviation)) for _ in range(count)]


@pytest.mark.parametrize(
    "readings_s",
    [
        [FAST_S],
        scattered(FAST_S, 200),
        scattered(FAST_S, 200, deviation=0.5),
        [FAST_S * 1.01**step for step in range(100)],  # a slow drift
        scattered(FAST_S, 95) + scattered(SLOW_S, 5),
        scattered(FAST_S, 40) + scattered(math.sqrt(FAST_S * SLOW_S), 5) + scattered(SLOW_S, 40),
    ],
    ids=["one", "narrow", "wide", "drift", "few slow ones", "many in between"],
)
def test_readings_of_one_kind_reject_nothing(readings_s: list[float]) -> None:
    """However they scatter or drift: states that cannot be told apart are no reason to reject a round."""
    assert usual_limit_s(readings_s) == math.inf
    assert state_after(readings_s).accepts(max(readings_s))


@pytest.mark.parametrize("between", [0, 1])
@pytest.mark.parametrize("slow", [10, 40, 160])
def test_readings_of_two_kinds_reject_the_slow_one(slow: int, between: int) -> None:
    """All of the fast kind count and none of the slow one, also where a round or two lay in between."""
    fast_s, slow_s = scattered(FAST_S, 40), scattered(SLOW_S, slow)
    state = state_after([*slow_s, *fast_s, *[math.sqrt(FAST_S * SLOW_S)] * between])
    assert all(map(state.accepts, fast_s))
    assert not any(map(state.accepts, slow_s))


def test_of_two_kinds_the_fast_one_is_usual() -> None:
    """One lucky reading makes no kind; readings that lie within a quarter of one another are of one."""
    state = state_after([*[SLOW_S] * 9, 0.1 * FAST_S, *[FAST_S] * 10])
    assert state.accepts(1.24 * FAST_S)
    assert not state.accepts(1.26 * FAST_S)


def test_a_later_reading_can_show_a_second_kind() -> None:
    """What counts as usual follows from all readings so far, not from those of the first look."""
    readings = iter([*[SLOW_S] * 8, *[FAST_S] * 2])
    state = MachineState(lambda: next(readings), lambda: None)
    for _ in range(9):
        state.read()
        assert state.accepts(SLOW_S)
    state.read()
    assert not state.accepts(SLOW_S)


def test_a_measurement_with_readings_of_one_kind_rejects_no_round() -> None:
    """Readings that scatter widely, but not in two heaps, decide nothing."""
    machine, noise = TwoStateMachine(lambda now: False, noise=0.1), random.Random(0)
    machine.fork_join = lambda: FAST_S * math.exp(noise.gauss(0.0, 0.3))
    timing = machine.measure()
    assert timing.rounds == 40
    assert timing.rounds_rejected == 0
    assert max(timing.fork_join_s) > 2 * min(timing.fork_join_s)


def test_the_reading_waits_until_threads_are_idle() -> None:
    """Threads that still spin would be in its way: it waits for them."""
    events: list[str] = []

    def call() -> None:
        machine.now += 0.1
        events.append("call")

    machine = Machine()
    measure_interleaved(
        [ReferenceGroup(call, [call], 60.0)],
        LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0, sample_ms=1),
        clock=machine.clock,
        wait_until_idle=lambda: events.append("wait"),
        state=MachineState(lambda: events.append("read") or FAST_S, lambda: events.append("wait")),
    )
    reads = [at for at, event in enumerate(events) if event == "read"]
    assert len(reads) == 1 + 5
    assert all(events[at - 1] == "wait" for at in reads)
    assert events[reads[1] - 2] == "call"


@pytest.mark.parametrize(("device", "threads"), [("cpu", 1), ("cuda", 2), ("cuda:1", 8)])
def test_one_thread_and_a_gpu_have_no_state(device: str, threads: int) -> None:
    """There is no work to hand to another core, or it goes to another device: nothing is read."""
    state = MachineState.of(device, threads, lambda: pytest.fail("waits for nothing"))
    assert state.read() == 0.0
    assert state.accepts(0.0)


def test_several_threads_of_a_cpu_have_a_state() -> None:
    """A real reading is a time, after a wait."""
    waits: list[int] = []
    state = MachineState.of("cpu", 2, lambda: waits.append(1))
    assert 0 < state.read() < math.inf
    assert waits == [1]


def test_without_a_reading_nothing_is_rejected() -> None:
    """Where no state is read, the record says none, however the times scatter."""
    machine = Machine(noise=0.1)
    group = ReferenceGroup(machine.model("a", 0.1), [machine.model("b", 0.1)], 60.0)
    ((timing,),) = measure_interleaved([group], GROWING, clock=machine.clock, **IDLE)
    assert timing.rounds_rejected == 0
    assert set(timing.fork_join_s) == {0.0}


def test_fork_join_is_timed_in_seconds() -> None:
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

"""The paired protocol: on a clock of its own, with known costs, drift and noise."""

import gc
import math
import random

import pytest

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.paired import PairedTiming, speedup_interval
from tests.helpers.timed_machine import (
    GROWING,
    ONE_CALL_A_SAMPLE,
    Machine,
    measure,
    measure_pair,
    measure_together,
)


def test_recovers_a_known_speedup() -> None:
    """Without noise, the speed-up is the quotient of the two costs, and so are the raw samples."""
    timing = measure(Machine(), 0.003, 0.001, LatencyOptions(min_rounds=5, max_rounds=5))
    assert timing.speedup == pytest.approx(3.0, rel=1e-9)
    assert timing.reference_s == pytest.approx([0.003] * 10)
    assert timing.candidate_s == pytest.approx([0.001] * 10)


def test_a_steady_drift_cancels_exactly() -> None:
    """A machine that slows down by 2 % a call, all through the run, changes nothing."""
    timing = measure(Machine(drift=0.02), 0.050, 0.025, ONE_CALL_A_SAMPLE)
    assert timing.log_ratios == pytest.approx([-math.log(2)] * 7, abs=1e-12)
    assert timing.reference_s[-1] > 1.5 * timing.reference_s[0]  # the drift is there


def test_noise_that_both_share_in_a_round_cancels() -> None:
    """The speed-up under noise is much closer to the truth than the noise of one sample is."""
    timing = measure(
        Machine(noise=0.1, seed=3), 0.020, 0.010, LatencyOptions(min_rounds=200, max_rounds=200, warmup_ms=0)
    )
    assert timing.speedup == pytest.approx(2.0, rel=0.03)


def test_a_round_runs_reference_candidate_candidate_reference() -> None:
    """Timed samples come in the order A B B A; short calls are let rewarm after a switch, long ones wait."""
    machine = Machine()

    def model(name: str):
        def call() -> None:
            machine.now += 1 + len(machine.log)  # so a duration says which call it was
            machine.log.append(name)

        return call

    timing = measure_pair(model("A"), model("B"), ONE_CALL_A_SAMPLE, clock=machine.clock)
    assert machine.log == list("AB" + "ABBA" * 7)  # warm-up: one burst each; calls so long need no plan
    starts = [2 + 4 * done for done in range(7)]
    assert timing.reference_s == tuple(1 + start + offset for start in starts for offset in (0, 3))
    assert timing.candidate_s == tuple(1 + start + offset for start in starts for offset in (1, 2))


def test_a_short_call_is_rewarmed_after_each_switch() -> None:
    """Calls shorter than the time that the other's threads spin run untimed first, for that long."""
    machine = Machine()

    def model(name: str):
        def call() -> None:
            machine.now += 0.010
            machine.log.append(name)

        return call

    options = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0, sample_ms=5)
    measure_pair(model("A"), model("B"), options, clock=machine.clock)
    assert (
        "".join(machine.log[-5 * 10 :]) == "AAABBBBAAA" * 5
    )  # two calls are 20 ms, more than the 15 asked for


def test_candidates_of_one_reference_share_its_samples() -> None:
    """Several candidates run in rounds A B C C B A, each compared with the same samples of the reference."""
    machine = Machine()

    def model(name: str, call_s: float):
        def call() -> None:
            machine.now += call_s
            machine.log.append(name)

        return call

    options = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=0, sample_ms=1)
    slow, fast = (model("B", 0.2), model("C", 0.05))
    timings = measure_together(model("A", 0.1), [slow, fast], options, clock=machine.clock)
    assert [timing.speedup for timing in timings] == pytest.approx([0.5, 2.0])
    assert timings[0].reference_s == timings[1].reference_s
    assert len(timings[0].reference_s) == 10
    assert "".join(machine.log[-5 * 7 :]) == "ABCCCBA" * 5  # C is short: it is rewarmed first
    assert timings[1].candidate_s == pytest.approx([0.05] * 10)


def test_a_steady_drift_cancels_for_every_candidate() -> None:
    """A machine that slows down by 1 % a call changes no candidate's speed-up, whatever its position."""
    machine = Machine(drift=0.01)
    models = [machine.model("ABCD"[i], call_s) for i, call_s in enumerate((0.064, 0.065, 0.066, 0.067))]
    timings = measure_together(models[0], models[1:], ONE_CALL_A_SAMPLE, clock=machine.clock)
    for timing, call_s in zip(timings, (0.065, 0.066, 0.067), strict=True):
        assert timing.log_ratios == pytest.approx([math.log(call_s / 0.064)] * timing.rounds, abs=1e-9)


def test_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 400 noisy runs, the known speed-up lies in the interval at least as often as its coverage."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # 400 real collections would take seconds
    options = LatencyOptions(min_rounds=10, max_rounds=10, warmup_ms=0, sample_ms=1)
    hits, coverage = 0, 0.0
    for seed in range(400):
        timing = measure(Machine(noise=0.2, seed=seed), 0.020, 0.015, options)
        low, high, coverage = speedup_interval(timing, 0.95)
        hits += low <= 4 / 3 <= high
    assert coverage >= 0.95
    assert hits / 400 >= coverage - 0.02  # two standard errors of 400 trials


def test_interval_stands_the_right_way_round() -> None:
    """A large ratio of times is a small speed-up: low is below high, and the speed-up between them."""
    timing = PairedTiming((), (), (-0.9, -0.8, -0.7, -0.6, -0.4, -0.3, -0.1), 1, 1)
    low, high, coverage = speedup_interval(timing, 0.9)
    assert (low, high) == (pytest.approx(math.exp(0.1)), pytest.approx(math.exp(0.9)))
    assert low < timing.speedup < high
    assert coverage == pytest.approx(1 - 2 / 2**7)


def test_a_model_against_its_copy_is_as_fast_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The A/A control of a noisy machine: over 100 runs, intervals hold 1 as they say, and are narrow."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # 100 real collections would take seconds
    options = LatencyOptions(min_rounds=30, max_rounds=30, warmup_ms=0, sample_ms=1)
    hits = 0
    for seed in range(100):
        low, high, _ = speedup_interval(measure(Machine(noise=0.02, seed=seed), 0.020, 0.020, options), 0.95)
        hits += low <= 1.0 <= high
        assert high - low < 0.05
    assert hits >= 90  # 95 are expected; one interval alone may well miss


def test_looks_double_up_to_max_rounds() -> None:
    """Intervals are looked at after 10, 20, 40 rounds; where doubling would exceed the maximum, it ends."""
    assert GROWING.looks == (10, 20, 40)
    assert LatencyOptions(min_rounds=10, max_rounds=39).looks == (10, 20)


def test_stops_when_the_interval_is_narrow_enough() -> None:
    """On a steady machine the first look is the last; on a noisy one rounds grow up to the limit."""
    assert measure(Machine(noise=0.001), 0.02, 0.01, GROWING).rounds == 10
    assert measure(Machine(noise=0.2), 0.02, 0.01, GROWING).rounds == 40


def test_a_candidate_that_is_known_leaves_the_round() -> None:
    """The steady candidate is timed for 10 rounds, the noisy one of the same reference for more."""
    machine, noise = Machine(), random.Random(1)

    def noisy() -> None:
        machine.now += 0.1 * math.exp(noise.gauss(0, 0.3))
        machine.log.append("N")

    timings = measure_together(
        machine.model("A", 0.1), [noisy, machine.model("B", 0.2)], GROWING, clock=machine.clock
    )
    assert [timing.rounds for timing in timings] == [40, 10]
    assert "".join(machine.log[-4 * 30 :]) == "ANNA" * 30
    assert all(len(t.reference_s) == len(t.candidate_s) == 2 * t.rounds for t in timings)
    assert timings[1].speedup == pytest.approx(0.5)


def test_the_time_of_a_cell_is_bounded() -> None:
    """As many rounds as fit into the limit are taken, no more, however wide the interval is."""
    options = GROWING.model_copy(update={"budget_s": 10.0})  # a round of four calls of 0.1 s: 0.4 s
    machine = Machine(noise=0.2)
    assert measure(machine, 0.1, 0.1, options).rounds > 20
    assert 9.0 < machine.now < 11.0
    once = options.model_copy(update={"budget_s": 0.1})
    assert measure(Machine(noise=0.2), 0.1, 0.1, once).rounds == 10


def test_error_is_split_over_the_looks() -> None:
    """With three planned looks each interval is as wide as one of a third of the chance of error."""
    values = tuple(0.01 * n for n in range(40))
    once = PairedTiming((), (), values, 1, 1)
    thrice = PairedTiming((), (), values, 1, 1, looks=3)
    low, high, coverage = speedup_interval(thrice, 0.95)
    assert (low, high) == speedup_interval(once, 1 - 0.05 / 3)[:2]
    assert 0.95 <= coverage < speedup_interval(once, 1 - 0.05 / 3)[2]


def test_looking_several_times_keeps_the_promised_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 400 runs that stop when they like, the truth lies in the interval as often as it says."""
    monkeypatch.setattr(gc, "collect", lambda: 0)
    hits, rounds = 0, set()
    for seed in range(400):
        timing = measure(Machine(noise=0.02, seed=seed), 0.020, 0.020, GROWING)
        low, high, _ = speedup_interval(timing, 0.95)
        hits += low <= 1.0 <= high
        rounds.add(timing.rounds)
    assert rounds == {10, 20, 40}  # the noise is such that stopping matters
    assert hits / 400 >= 0.95 - 0.02  # two standard errors of 400 trials


def test_single_calls_are_kept_for_percentiles() -> None:
    """Each timed call of the candidate stands for itself, and they add up to the samples."""
    timing = measure(
        Machine(noise=0.1), 0.004, 0.004, LatencyOptions(min_rounds=6, max_rounds=6, sample_ms=8)
    )
    assert len(timing.call_times_s) == timing.calls_per_sample * 2 * 6
    first = sum(timing.call_times_s[: timing.calls_per_sample]) / timing.calls_per_sample
    assert first == pytest.approx(timing.candidate_s[0])


def test_progress_is_told_after_each_round() -> None:
    """After each round, outside of what is timed, the rounds done and planned are told."""
    machine, told = Machine(), []

    def tell(done: int, planned: int) -> None:
        machine.now += 1000  # would show in any sample that it fell into
        told.append((done, planned))

    timing = measure_together(
        machine.model("A", 0.1),
        [machine.model("B", 0.1)],
        ONE_CALL_A_SAMPLE,
        clock=machine.clock,
        after_round=tell,
    )[0]
    assert told == [(done, 7) for done in range(1, 8)]
    assert timing.candidate_s == pytest.approx([0.1] * 14)

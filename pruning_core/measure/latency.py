"""How much faster a candidate is than its reference: two callables, timed in pairs, in one process.

Slow drifts of a machine (heat, neighbours) hit both of a pair alike; so the ratio is far steadier than
either time. Rounds run reference, candidate, candidate, reference (A B B A): a drift that is linear in the
logarithm cancels exactly, and each of the two comes once after itself and once after the other. Turning
every second round around (B A A B) would spoil that balance, so we do not.

Not for: making callables (`backends/`), or inference mode, which is their own business.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from statistics import median

from pruning_core.grid import LatencyOptions
from pruning_core.intervals import median_interval

Clock = Callable[[], float]
Call = Callable[[], object]

STEADY_WITHIN = 0.05
"""Warm-up ends when two neighbouring groups of bursts differ by no more than this fraction."""

BURSTS_COMPARED = 3

LONGEST_WARM_UP = 4.0
"""Warm-up ends at this multiple of its least time, steady or not."""

SETTLE_S = 0.015
"""After a switch from one of the pair to the other, untimed calls run for this long, at least one.

Thread pools of runtimes spin for some milliseconds after their last call and hold cores that the other one
needs. On 2 cores of an AMD EPYC a small network on ONNX Runtime took 154 µs a call right after PyTorch had
run, 104 µs 5 ms later and 88 µs from 12 ms on; the very first call took 310 µs.
"""

LONG_CALL_S = 4 * SETTLE_S
"""From here on we only wait for the other's threads to stop: caches are warm again within a fraction of the
call, and an untimed call would add half of the time that a round takes."""


@dataclass(frozen=True)
class PairedTiming:
    """Raw samples of a pair; everything else is recomputed from them."""

    reference_s: tuple[float, ...]  # seconds per call, two a round, in the order they were taken
    candidate_s: tuple[float, ...]
    log_ratios: tuple[float, ...]  # one a round: ln(candidate ÷ reference)
    calls_per_sample: int  # of the candidate
    reference_calls_per_sample: int

    @property
    def rounds(self) -> int:
        """Number of A B B A rounds."""
        return len(self.log_ratios)

    @property
    def speedup(self) -> float:
        """Reference time ÷ candidate time: above 1 when the candidate is faster."""
        return math.exp(-median(self.log_ratios))


def measure_pair(
    reference: Call,
    candidate: Call,
    options: LatencyOptions,
    *,
    reference_is_warm: bool = False,
    on_round: Callable[[int, int], None] | None = None,
    clock: Clock = time.perf_counter,
) -> PairedTiming:
    """Time two callables against each other.

    Args:
        reference: A; each call runs its model once and returns when the result is ready.
        candidate: B; likewise.
        options: Rounds, warm-up and length of a sample.
        reference_is_warm: The same callable was A of the pair measured just before: warm up B alone.
        on_round: Called after each round with the rounds done and the rounds in all.
        clock: Seconds that only go up; another one in tests.
    """
    sample_s = options.sample_ms / 1e3
    log_ratios: list[float] = []
    reference_s: list[float] = []
    candidate_s: list[float] = []
    with _no_garbage_collection():
        a_call_s, b_call_s = _warm_up(
            reference, candidate, options.warmup_ms / 1e3, sample_s, clock, a_is_warm=reference_is_warm
        )
        b_calls = _plan_calls(candidate, b_call_s, sample_s, clock)
        a_calls = _plan_calls(reference, a_call_s, sample_s, clock)  # last: the first round begins with A
        for done in range(1, options.rounds + 1):
            a1 = _time_calls(reference, a_calls, clock)
            _settle(candidate, b_call_s, clock)
            b1 = _time_calls(candidate, b_calls, clock)
            b2 = _time_calls(candidate, b_calls, clock)
            _settle(reference, a_call_s, clock)
            a2 = _time_calls(reference, a_calls, clock)
            reference_s += (a1, a2)
            candidate_s += (b1, b2)
            log_ratios.append(_log_ratio((a1, a2), (b1, b2)))
            if on_round is not None:
                on_round(done, options.rounds)
    return PairedTiming(tuple(reference_s), tuple(candidate_s), tuple(log_ratios), b_calls, a_calls)


def speedup_interval(timing: PairedTiming, confidence: float) -> tuple[float, float, float]:
    """Bound the speed-up by order statistics of the rounds' log ratios.

    Args:
        timing: What `measure_pair` returned.
        confidence: Coverage asked for, in (0, 1).

    Returns:
        Lower bound, upper bound, and the coverage reached (see `intervals.median_interval`).
    """
    low, high, coverage = median_interval(timing.log_ratios, confidence)
    return math.exp(-high), math.exp(-low), coverage  # a large ratio of times is a small speed-up


def _settle(call: Call, call_s: float, clock: Clock) -> None:
    if call_s >= LONG_CALL_S:
        time.sleep(SETTLE_S)
    else:
        _run_for(SETTLE_S, call, clock)


def _warm_up(
    a: Call, b: Call, least_s: float, burst_s: float, clock: Clock, *, a_is_warm: bool
) -> tuple[float, float]:
    """Run A and B in turns until both are steady; return seconds per call in the fastest burst of each."""
    per_call: tuple[list[float], list[float]] = ([], [])
    spent = [0.0, 0.0]
    cold = slice(1, 2) if a_is_warm else slice(0, 2)  # which of the two must become steady
    while True:
        for which, call in enumerate((a, b)):
            if which == 0 and a_is_warm and per_call[0]:
                continue  # one burst, to know how long its calls are
            seconds, calls = _run_for(burst_s, call, clock)
            spent[which] += seconds
            per_call[which].append(seconds / calls)
        steady = all(_is_steady(bursts) for bursts in list(per_call)[cold])
        if min(spent[cold]) >= (least_s if steady else least_s * LONGEST_WARM_UP):
            # The fastest: on a busy machine a burst may be one stalled call, which would plan short samples.
            return min(per_call[0]), min(per_call[1])


def _is_steady(per_call: list[float]) -> bool:
    if len(per_call) < 2 * BURSTS_COMPARED:
        return False
    before = median(per_call[-2 * BURSTS_COMPARED : -BURSTS_COMPARED])
    return abs(median(per_call[-BURSTS_COMPARED:]) - before) <= STEADY_WITHIN * before


def _plan_calls(call: Call, call_s: float, sample_s: float, clock: Clock) -> int:
    """Return how many calls last at least `sample_s`, tried and raised until they do."""
    _run_for(SETTLE_S, call, clock)
    calls = max(1, math.ceil(sample_s / call_s)) if call_s > 0 else 1
    while (lasted := calls * _time_calls(call, calls, clock)) < sample_s:
        # At most tenfold at a time: one sample cut short by a coarse clock must not plan for hours.
        calls = max(calls + 1, min(10 * calls, math.ceil(calls * sample_s / max(lasted, 1e-9))))
    return calls


def _time_calls(call: Call, calls: int, clock: Clock) -> float:
    """Return seconds per call, over `calls` calls."""
    start = clock()
    for _ in repeat(None, calls):
        call()
    return (clock() - start) / calls


def _run_for(least_s: float, call: Call, clock: Clock) -> tuple[float, int]:
    """Call, at least once, until `least_s` have passed; return the seconds and the calls."""
    start, calls = clock(), 0
    while True:
        call()
        calls += 1
        if (seconds := clock() - start) >= least_s:
            return seconds, calls


def _log_ratio(a: tuple[float, float], b: tuple[float, float]) -> float:
    return 0.5 * ((math.log(b[0]) + math.log(b[1])) - (math.log(a[0]) + math.log(a[1])))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

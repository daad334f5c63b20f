"""How much faster candidates are than their reference: callables, timed in pairs, in one process.

Slow drifts of a machine (heat, neighbours) hit both of a pair alike; so the ratio is far steadier than
either time. Rounds run reference, candidate, candidate, reference (A B B A): a drift that is linear in the
logarithm cancels exactly, and each of the two comes once after itself and once after the other. Turning
every second round around (B A A B) would spoil that balance, so we do not. Several candidates of one
reference share its samples: A B C C B A.

It stops when it knows enough: after 10 rounds, 20, 40, … the intervals are looked at, and a candidate whose
interval is narrow enough leaves. The chance of error is split over all planned looks, so that an interval
holds as often as it says although it was looked at several times.

Not for: making callables (`backends/`), or inference mode, which is their own business.
"""

import gc
import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from statistics import median

from pruning_core.grid import LatencyOptions
from pruning_core.intervals import median_interval

Clock = Callable[[], float]
Call = Callable[[], object]

STEADY_WITHIN = 0.1
"""Warm-up ends when two neighbouring groups of bursts differ by no more than this fraction."""

BURSTS_COMPARED = 2

LONGEST_WARM_UP = 2.0
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
    looks: int = 1  # planned: how often the interval might have been looked at
    calls_s: Sequence[float] = ()  # seconds of each single timed call of the candidate

    @property
    def rounds(self) -> int:
        """Number of A B B A rounds."""
        return len(self.log_ratios)

    @property
    def speedup(self) -> float:
        """Reference time ÷ candidate time: above 1 when the candidate is faster."""
        return math.exp(-median(self.log_ratios))


def measure_pair(
    reference: Call, candidate: Call, options: LatencyOptions, *, clock: Clock = time.perf_counter
) -> PairedTiming:
    """Time one callable against its reference, in rounds A B B A (see `measure_together`)."""
    return measure_together(reference, [candidate], options, clock=clock)[0]


def measure_together(
    reference: Call,
    candidates: Sequence[Call],
    options: LatencyOptions,
    *,
    clock: Clock = time.perf_counter,
    wait: Callable[[float], object] = time.sleep,
    after_round: Callable[[int, int], object] = lambda done, left: None,
) -> list[PairedTiming]:
    """Time several callables against one reference, in rounds A B C … C B A.

    Each candidate lies as far before the middle of a round as after it, as B does in A B B A: the drift
    cancels for each of them, and the reference, often the slowest, is timed once for all.

    Args:
        reference: A; each call runs its model once and returns when the result is ready.
        candidates: B, C, …; likewise. At least one.
        options: Rounds, precision, warm-up and length of a sample.
        clock: Seconds that only go up; another one in tests.
        wait: Lets seconds pass in which nothing is called.
        after_round: Called after each round with the rounds done and the candidates left, outside of what
            is timed: to show progress, to look at the machine.

    Returns:
        One timing for each candidate, in their order; they share the reference's samples. A candidate has
        fewer rounds than another if its interval was narrow enough earlier.
    """
    calls = [reference, *candidates]
    sample_s = options.sample_ms / 1e3
    samples_s: list[list[float]] = [[] for _ in calls]
    stamps = [array("d") for _ in calls]
    looks = options.looks
    left = list(range(1, len(calls)))
    with _no_garbage_collection():
        call_s = _warm_up(calls, options.warmup_ms / 1e3, sample_s, clock)
        counts = [0] * len(calls)
        for place in reversed(range(len(calls))):  # the reference last: the first round begins with it
            counts[place] = _plan_calls(calls[place], call_s[place], sample_s, clock)
        ran_last, done, start = 0, 0, clock()
        for look in looks:
            if done and (clock() - start) / done * look > options.limit_s * len(candidates):
                break
            while done < look:
                for place in (0, *left, *reversed(left), 0):
                    if place != ran_last:
                        _settle(calls[place], call_s[place], clock, wait)
                    samples_s[place].append(_time_calls(calls[place], counts[place], clock, stamps[place]))
                    ran_last = place
                done += 1
                after_round(done, len(left))
            left = [place for place in left if not _is_narrow(samples_s[0], samples_s[place], options)]
            if not left:
                break
    return [
        PairedTiming(
            tuple(samples_s[0][: len(samples_s[place])]),
            tuple(samples_s[place]),
            _log_ratios(samples_s[0], samples_s[place]),
            counts[place],
            counts[0],
            len(looks),
            stamps[place],
        )
        for place in range(1, len(calls))
    ]


def speedup_interval(timing: PairedTiming, confidence: float) -> tuple[float, float, float]:
    """Bound the speed-up by order statistics of the rounds' log ratios.

    Args:
        timing: What `measure_pair` returned.
        confidence: Coverage asked for, in (0, 1), over all looks together.

    Returns:
        Lower bound, upper bound, and the coverage reached (see `intervals.median_interval`). With several
        planned looks each interval misses so rarely that all of them together miss no more often than asked.
    """
    low, high, coverage = median_interval(timing.log_ratios, 1 - (1 - confidence) / timing.looks)
    # a large ratio of times is a small speed-up
    return math.exp(-high), math.exp(-low), max(0.0, 1 - (1 - coverage) * timing.looks)


def _is_narrow(reference_s: Sequence[float], candidate_s: Sequence[float], options: LatencyOptions) -> bool:
    level = (1 - options.confidence) / len(options.looks)
    low, high, coverage = median_interval(_log_ratios(reference_s, candidate_s), 1 - level)
    return coverage >= 1 - level and (high - low) / 2 <= math.log1p(options.precision)


def _settle(call: Call, call_s: float, clock: Clock, wait: Callable[[float], object]) -> None:
    if call_s >= LONG_CALL_S:
        wait(SETTLE_S)
    else:
        _run_for(SETTLE_S, call, clock)


def _warm_up(calls: Sequence[Call], least_s: float, burst_s: float, clock: Clock) -> list[float]:
    """Run all in turns, each until it is steady; return seconds per call in the fastest burst of each."""
    per_call: list[list[float]] = [[] for _ in calls]
    spent_s = [0.0] * len(calls)
    cold = list(range(len(calls)))
    while cold:
        for place in cold:
            seconds, count = _run_for(burst_s, calls[place], clock)
            spent_s[place] += seconds
            per_call[place].append(seconds / count)
        cold = [place for place in cold if not _is_warm(per_call[place], spent_s[place], least_s)]
    # The fastest: on a busy machine a burst may be one stalled call, which would plan short samples.
    return [min(bursts) for bursts in per_call]


def _is_warm(per_call: list[float], spent_s: float, least_s: float) -> bool:
    return spent_s >= (least_s if _is_steady(per_call) else least_s * LONGEST_WARM_UP)


def _is_steady(per_call: list[float]) -> bool:
    if len(per_call) < 2 * BURSTS_COMPARED:
        return False
    before = median(per_call[-2 * BURSTS_COMPARED : -BURSTS_COMPARED])
    return abs(median(per_call[-BURSTS_COMPARED:]) - before) <= STEADY_WITHIN * before


def _plan_calls(call: Call, call_s: float, sample_s: float, clock: Clock) -> int:
    """Return how many calls last at least `sample_s`, tried and raised until they do."""
    if call_s >= 2 * sample_s:
        return 1  # no need to try
    _run_for(SETTLE_S, call, clock)
    calls = max(1, math.ceil(sample_s / call_s)) if call_s > 0 else 1
    while (lasted := calls * _time_calls(call, calls, clock, array("d"))) < sample_s:
        # At most tenfold at a time: one sample cut short by a coarse clock must not plan for hours.
        calls = max(calls + 1, min(10 * calls, math.ceil(calls * sample_s / max(lasted, 1e-9))))
    return calls


def _time_calls(call: Call, calls: int, clock: Clock, calls_s: "array[float]") -> float:
    """Return seconds per call, over `calls` calls; add the seconds of each single one to `calls_s`."""
    start = last = clock()
    for _ in repeat(None, calls):
        call()
        now = clock()
        calls_s.append(now - last)
        last = now
    return (last - start) / calls


def _run_for(least_s: float, call: Call, clock: Clock) -> tuple[float, int]:
    """Call, at least once, until `least_s` have passed; return the seconds and the calls."""
    start, calls = clock(), 0
    while True:
        call()
        calls += 1
        if (seconds := clock() - start) >= least_s:
            return seconds, calls


def _log_ratios(reference_s: Sequence[float], candidate_s: Sequence[float]) -> tuple[float, ...]:
    """Return ln(candidate ÷ reference) of each round that the candidate ran in."""
    logs = [(math.log(a), math.log(b)) for a, b in zip(reference_s, candidate_s, strict=False)]
    return tuple(
        0.5 * ((b1 + b2) - (a1 + a2)) for (a1, b1), (a2, b2) in zip(logs[::2], logs[1::2], strict=True)
    )


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

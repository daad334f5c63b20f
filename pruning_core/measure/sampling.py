"""One callable at a time: warm, warm again after another one ran, timed in samples that are long enough."""

import math
from array import array
from collections.abc import Sequence
from itertools import repeat
from statistics import median

from pruning_core.system.clock import Call, Clock

STEADY_WITHIN = 0.1
"""Warm-up ends when two neighbouring groups of bursts differ by no more than this fraction."""

BURSTS_COMPARED = 2

MAX_WARM_UP_FACTOR = 2.0
"""Warm-up ends at this multiple of its least time, steady or not."""

REWARM_S = 0.015
"""When a turn begins, untimed calls run for this long, at least one: the very first call of a small network
on ONNX Runtime took 310 µs, later ones 88 µs (2 cores of an AMD EPYC)."""

LONG_CALL_S = 4 * REWARM_S
"""From here on there is no need to: caches are warm again within a fraction of the call, and an untimed call
would add half of the time that a round takes."""


def rewarm(call: Call, call_s: float, clock: Clock) -> None:
    """Make ready for samples of a call that did not run last, and takes about `call_s`."""
    if call_s < LONG_CALL_S:
        run_for(REWARM_S, call, clock)


def warm_up(calls: Sequence[Call], min_s: float, burst_s: float, clock: Clock) -> list[float]:
    """Run all in turns, each until it is steady; return seconds per call in the fastest burst of each."""
    per_call: list[list[float]] = [[] for _ in calls]
    spent_s = [0.0] * len(calls)
    cold = list(range(len(calls)))
    while cold:
        for place in cold:
            seconds, count = run_for(burst_s, calls[place], clock)
            spent_s[place] += seconds
            per_call[place].append(seconds / count)
        cold = [place for place in cold if not _is_warm(per_call[place], spent_s[place], min_s)]
    # The fastest: on a busy machine a burst may be one stalled call, which would plan short samples.
    return [min(bursts) for bursts in per_call]


def _is_warm(per_call: list[float], spent_s: float, min_s: float) -> bool:
    return spent_s >= (min_s if _is_steady(per_call) else min_s * MAX_WARM_UP_FACTOR)


def _is_steady(per_call: list[float]) -> bool:
    if len(per_call) < 2 * BURSTS_COMPARED:
        return False
    before = median(per_call[-2 * BURSTS_COMPARED : -BURSTS_COMPARED])
    return abs(median(per_call[-BURSTS_COMPARED:]) - before) <= STEADY_WITHIN * before


def calibrate_calls(call: Call, call_s: float, sample_s: float, clock: Clock) -> int:
    """Return how many calls last at least `sample_s`, tried and raised until they do."""
    if call_s >= 2 * sample_s:
        return 1  # no need to try
    run_for(REWARM_S, call, clock)
    calls = max(1, math.ceil(sample_s / call_s)) if call_s > 0 else 1
    while (lasted := calls * time_calls(call, calls, clock, array("d"))) < sample_s:
        # At most tenfold at a time: one sample cut short by a coarse clock must not plan for hours.
        calls = max(calls + 1, min(10 * calls, math.ceil(calls * sample_s / max(lasted, 1e-9))))
    return calls


def time_calls(call: Call, calls: int, clock: Clock, calls_s: "array[float]") -> float:
    """Return seconds per call, over `calls` calls; add the seconds of each single one to `calls_s`."""
    start = last = clock()
    for _ in repeat(None, calls):
        call()
        now = clock()
        calls_s.append(now - last)
        last = now
    return (last - start) / calls


def run_for(min_s: float, call: Call, clock: Clock) -> tuple[float, int]:
    """Call, at least once, until `min_s` have passed; return the seconds and the calls."""
    start, calls = clock(), 0
    while True:
        call()
        calls += 1
        if (seconds := clock() - start) >= min_s:
            return seconds, calls

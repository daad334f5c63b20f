"""One callable: warmed up, warmed again after another one ran, timed in samples that are long enough."""

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
"""Warm-up ends at this multiple of its minimum time, steady or not."""

REWARM_S = 0.015
"""After another model ran, untimed calls run for this long, at least one (`measure/README.md`)."""

LONG_CALL_S = 4 * REWARM_S
"""Calls from here on are not rewarmed: caches are warm again within a fraction of such a call."""


def rewarm(call: Call, call_s: float, clock: Clock) -> None:
    """Make a call ready to be sampled after another one ran.

    Args:
        call: Runs its model once.
        call_s: Seconds that it takes, roughly.
        clock: Seconds that only go up.
    """
    if call_s < LONG_CALL_S:
        run_for(REWARM_S, call, clock)


def warm_up(calls: Sequence[Call], min_s: float, burst_s: float, clock: Clock) -> list[float]:
    """Run all calls, burst by burst and interleaved, each until it is steady.

    Args:
        calls: Each runs its model once.
        min_s: Seconds of warm-up for each, at least.
        burst_s: Seconds of one burst.
        clock: Seconds that only go up.

    Returns:
        For each, seconds per call in its fastest burst.
    """
    per_call: list[list[float]] = [[] for _ in calls]
    spent_s = [0.0] * len(calls)
    cold = list(range(len(calls)))
    while cold:
        for index in cold:
            seconds, count = run_for(burst_s, calls[index], clock)
            spent_s[index] += seconds
            per_call[index].append(seconds / count)
        cold = [index for index in cold if not _is_warm(per_call[index], spent_s[index], min_s)]
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


def time_calls(call: Call, calls: int, clock: Clock, call_times_s: "array[float]") -> float:
    """Return seconds per call, over `calls` calls; add the seconds of each single one to `call_times_s`."""
    start = last = clock()
    for _ in repeat(None, calls):
        call()
        now = clock()
        call_times_s.append(now - last)
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

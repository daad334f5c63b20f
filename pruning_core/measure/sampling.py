"""One callable at a time: warm, let settle after another one ran, and timed in samples that last long enough.

Not for: what is compared with what, and when it is known well enough (`latency.py`).
"""

import math
import time
from array import array
from collections.abc import Callable, Sequence
from itertools import repeat
from statistics import median

Clock = Callable[[], float]
Call = Callable[[], object]

STEADY_WITHIN = 0.1
"""Warm-up ends when two neighbouring groups of bursts differ by no more than this fraction."""

BURSTS_COMPARED = 2

LONGEST_WARM_UP = 2.0
"""Warm-up ends at this multiple of its least time, steady or not."""

REST_STEP_S = 0.010
"""Whether this process is at rest is looked at over so long: two and a half ticks of a kernel at 250 Hz, one
at 100 Hz, in which CPU time is counted."""

REST_SHARE = 0.25
"""At rest it uses less than this part of one core. One thread that spins uses all of it."""

LONGEST_REST_S = 0.5
"""A process that never comes to rest, because a thread of its own works on, is measured all the same."""

SETTLE_S = 0.015
"""After a rest, untimed calls run for this long, at least one: the very first call of a small network on ONNX
Runtime took 310 µs, later ones 88 µs (2 cores of an AMD EPYC)."""

LONG_CALL_S = 4 * SETTLE_S
"""From here on a rest is enough: caches are warm again within a fraction of the call, and an untimed call
would add half of the time that a round takes."""


class Turns:
    """Lets whoever ran before come to rest when another one's turn comes.

    Thread pools of runtimes spin after their last call and hold cores that the next one needs. For how long
    depends on runtime and CPU: ONNX Runtime 12 ms on an AMD EPYC, 45 ms on an Intel Xeon, where a network on
    PyTorch took 11 ms a call meanwhile, and 3.8 ms afterwards. So we look, and do not wait a fixed time.
    """

    def __init__(self, clock: Clock, wait: Callable[[float], object], cpu_clock: Clock) -> None:
        self.clock = clock
        self._wait = wait
        self._cpu_clock = cpu_clock

    def begin(self, call: Call, call_s: float) -> None:
        """Make ready for samples of a call that did not run last, and takes about `call_s`."""
        self.rest()
        if call_s < LONG_CALL_S:
            run_for(SETTLE_S, call, self.clock)

    def rest(self) -> None:
        """Wait until no thread of this process is busy."""
        rest(self._wait, self._cpu_clock)


def rest(wait: Callable[[float], object] = time.sleep, cpu_clock: Clock = time.process_time) -> None:
    """Wait until no thread of this process is busy, half a second at most."""
    for _ in range(round(LONGEST_REST_S / REST_STEP_S)):
        used_s = cpu_clock()
        wait(REST_STEP_S)
        if cpu_clock() - used_s < REST_SHARE * REST_STEP_S:
            return


def warm_up(calls: Sequence[Call], least_s: float, burst_s: float, clock: Clock) -> list[float]:
    """Run all in turns, each until it is steady; return seconds per call in the fastest burst of each."""
    per_call: list[list[float]] = [[] for _ in calls]
    spent_s = [0.0] * len(calls)
    cold = list(range(len(calls)))
    while cold:
        for place in cold:
            seconds, count = run_for(burst_s, calls[place], clock)
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


def plan_calls(call: Call, call_s: float, sample_s: float, clock: Clock) -> int:
    """Return how many calls last at least `sample_s`, tried and raised until they do."""
    if call_s >= 2 * sample_s:
        return 1  # no need to try
    run_for(SETTLE_S, call, clock)
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


def run_for(least_s: float, call: Call, clock: Clock) -> tuple[float, int]:
    """Call, at least once, until `least_s` have passed; return the seconds and the calls."""
    start, calls = clock(), 0
    while True:
        call()
        calls += 1
        if (seconds := clock() - start) >= least_s:
            return seconds, calls

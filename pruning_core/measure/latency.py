"""How much faster candidates are than their reference: callables, timed in pairs, in one process.

Slow drifts of a machine (heat, neighbours) hit both of a pair alike; so the ratio is far steadier than
either time. Rounds run reference, candidate, candidate, reference (A B B A): a drift that is linear in the
logarithm cancels exactly, and each of the two comes once after itself and once after the other. Turning
every second round around (B A A B) would spoil that balance, so we do not. Several candidates of one
reference share its samples: A B C C B A.

A shared machine has moods that last for seconds, and a ratio of two times moves with them: one that is bound
by memory suffers otherwise than one that is bound by arithmetic. So the rounds of a cell are not taken in
one go: groups take turns, next the one that has used least of its rounds and its time, so that those of
each are spread over the whole of it.

It stops when it knows enough: after 10 rounds, 20, 40, … the intervals are looked at, and a candidate whose
interval is narrow enough leaves; where the time ends before the next look, that look is taken early. The
chance of error is split over all planned looks, so that an interval holds as often as it says although it
was looked at several times.

Not for: making callables (`backends/`), or inference mode, which is their own business.
"""

import gc
import math
import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from pruning_core.garbage import no_garbage_collection
from pruning_core.grid import LatencyOptions
from pruning_core.intervals import median_interval
from pruning_core.measure.rest import rest
from pruning_core.measure.sampling import Call, Clock, plan_calls, settle, time_calls, warm_up


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


@dataclass(frozen=True)
class Group:
    """Callables that share a reference; each runs its model once and returns when the result is ready."""

    reference: Call
    candidates: Sequence[Call]  # at least one
    limit_s: float  # of time for each candidate; but rounds before the first look are always taken
    pools: Sequence[str] = ()  # which pool of threads works for each, the reference first; "": one of its own


def measure_pair(
    reference: Call,
    candidate: Call,
    options: LatencyOptions,
    *,
    pool: str = "",
    clock: Clock = time.perf_counter,
) -> PairedTiming:
    """Time one callable against its reference, in rounds A B B A (see `measure_in_turns`).

    Args:
        reference: Runs its model once and returns when the result is ready.
        candidate: Likewise.
        options: Rounds, precision, warm-up and length of a sample.
        pool: Of the threads that work for both; empty if each has its own.
        clock: Seconds that only go up; another one in tests.
    """
    group = Group(reference, [candidate], options.limit_s, [pool, pool])
    return measure_in_turns([group], options, clock=clock)[0][0]


def measure_in_turns(
    groups: Sequence[Group],
    options: LatencyOptions,
    *,
    clock: Clock = time.perf_counter,
    rest: Call = rest,
    after_round: Callable[[int, int], object] = lambda played, planned: None,
) -> list[list[PairedTiming]]:
    """Time several callables against one reference in rounds A B C … C B A; several such groups in turns.

    Each candidate lies as far before the middle of a round as after it, as B does in A B B A: the drift
    cancels for each of them, and the reference, often the slowest, is timed once for all.

    Args:
        groups: References with their candidates.
        options: Rounds, precision, warm-up and length of a sample.
        clock: Seconds that only go up; another one in tests.
        rest: Waits until no thread is busy with the call before.
        after_round: Called after each round with the rounds played and planned so far, of all groups, outside
            of what is timed: to show progress, to look at the machine. It may use the processor: each round
            begins at rest.

    Returns:
        For each group one timing for each candidate, in their order; they share the reference's samples. A
        candidate has fewer rounds than another if its interval was narrow enough earlier.
    """
    gc.collect()
    with no_garbage_collection():
        plays = [_Play(group, options, clock, rest) for group in groups]
        order = random.Random(0)
        while open_plays := [play for play in plays if play.left]:
            # By chance among near ones, so that no group always comes after the same one.
            min(open_plays, key=lambda play: play.used(order.random())).round()
            after_round(sum(p.done for p in plays), sum(p.until for p in plays))
    return [play.timings() for play in plays]


class _Play:
    """One group while it is measured: warm, its samples so far, and which candidates need more."""

    def __init__(self, group: Group, options: LatencyOptions, clock: Clock, rest: Call) -> None:
        self.done = 0  # rounds
        self.left = list(range(1, len(group.candidates) + 1))  # places of the candidates that need more
        self._calls = [group.reference, *group.candidates]
        self._limit_s = group.limit_s * len(group.candidates)
        self._spent_s = 0.0
        self._options = options
        self._clock, self._rest = clock, rest
        self._pools = list(group.pools) or [""] * len(self._calls)
        self._looks = iter(options.looks)
        self.until = next(self._looks)  # rounds at the next look
        self._samples_s: list[list[float]] = [[] for _ in self._calls]
        self._stamps = [array("d") for _ in self._calls]
        sample_s = options.sample_ms / 1e3
        self._call_s = warm_up(self._calls, options.warmup_ms / 1e3, sample_s, clock)
        self._counts = [0] * len(self._calls)
        for place in range(len(self._calls)):
            rest()
            self._counts[place] = plan_calls(self._calls[place], self._call_s[place], sample_s, clock)

    def used(self, of_a_round: float) -> float:
        """Return which part of its rounds or of its time is used, the larger, and some of a round more."""
        part = max(self.done / self._options.looks[-1], self._spent_s / self._limit_s)
        return part * (1 + of_a_round / max(self.done, 1))

    def round(self) -> None:
        """Play one round; at a look, decide who needs more."""
        clock = self._clock
        start = clock()
        before = None  # others may have run since the last round
        for place in (0, *self.left, *reversed(self.left), 0):
            call = self._calls[place]
            if place != before:
                if before is None or not self._same_pool(before, place):
                    self._rest()
                settle(call, self._call_s[place], clock)
            before = place
            seconds = time_calls(call, self._counts[place], clock, self._stamps[place])
            self._samples_s[place].append(seconds)
        self._spent_s += clock() - start
        self.done += 1
        if self.done == self.until:
            self._look()

    def _same_pool(self, before: int, place: int) -> bool:
        """Tell whether threads that still spin are those that work on the next call: then in no one's way."""
        return self._pools[place] != "" and self._pools[place] == self._pools[before]

    def _look(self) -> None:
        reference_s = self._samples_s[0]
        self.left = [p for p in self.left if not _is_narrow(reference_s, self._samples_s[p], self._options)]
        more = next(self._looks, self.done)
        if self._spent_s * more > self._limit_s * self.done:
            # How long a round takes says nothing about the ratio: a look may be brought forward for it.
            more, self._looks = int(self._limit_s / self._spent_s * self.done), iter(())
        if more <= self.done:
            self.left = []
        elif self.left:
            self.until = more

    def timings(self) -> list[PairedTiming]:
        """Return what was measured of each candidate."""
        reference_s = self._samples_s[0]
        return [
            PairedTiming(
                tuple(reference_s[: len(samples_s)]),
                tuple(samples_s),
                _log_ratios(reference_s, samples_s),
                calls,
                self._counts[0],
                len(self._options.looks),
                stamps,
            )
            for samples_s, calls, stamps in zip(
                self._samples_s[1:], self._counts[1:], self._stamps[1:], strict=True
            )
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


def _log_ratios(reference_s: Sequence[float], candidate_s: Sequence[float]) -> tuple[float, ...]:
    """Return ln(candidate ÷ reference) of each round that the candidate ran in."""
    logs = [(math.log(a), math.log(b)) for a, b in zip(reference_s, candidate_s, strict=False)]
    return tuple(
        0.5 * ((b1 + b2) - (a1 + a2)) for (a1, b1), (a2, b2) in zip(logs[::2], logs[1::2], strict=True)
    )

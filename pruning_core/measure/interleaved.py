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

Some moods show: cores that hand work over slowly (`system/fork_join.py`) make small networks slow, and large
ones less so. So that is read between rounds; where enough rounds fell into the usual mood, others count not.

It stops when it knows enough: after 10 rounds, 20, 40, … the intervals are looked at, and a candidate whose
interval is narrow enough leaves; where the time ends before the next look, that look is taken early. The
chance of error is split over all planned looks, so that an interval holds as often as it says although it
was looked at several times.
"""

import gc
import math
import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pruning_core.config.grid import LatencyOptions
from pruning_core.measure.paired import PairedTiming, log_ratios_of
from pruning_core.measure.sampling import calibrate_calls, rewarm, time_calls, warm_up
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.stats.intervals import median_interval
from pruning_core.system.clock import Call, Clock
from pruning_core.system.fork_join import ForkJoinMonitor, measure_fork_join
from pruning_core.system.thread_idle import rest


@dataclass(frozen=True)
class Group:
    """Callables that share a reference; each runs its model once and returns when the result is ready."""

    reference: Call
    candidates: Sequence[Call]  # at least one
    budget_s: float  # of time for each candidate; but rounds before the first look are always taken
    pools: Sequence[str] = ()  # which pool of threads works for each, the reference first; "": one of its own


def measure_pair(
    reference: Call,
    candidate: Call,
    options: LatencyOptions,
    *,
    pool: str = "",
    clock: Clock = time.perf_counter,
) -> PairedTiming:
    """Time one callable against its reference, in rounds A B B A (see `measure_interleaved`).

    Args:
        reference: Runs its model once and returns when the result is ready.
        candidate: Likewise.
        options: Rounds, precision, warm-up and length of a sample.
        pool: Of the threads that work for both; empty if each has its own.
        clock: Seconds that only go up; another one in tests.
    """
    group = Group(reference, [candidate], options.budget_s, [pool, pool])
    return measure_interleaved([group], options, clock=clock, handover=measure_fork_join)[0][0]


def measure_interleaved(
    groups: Sequence[Group],
    options: LatencyOptions,
    *,
    clock: Clock = time.perf_counter,
    rest: Call = rest,
    handover: Callable[[], float] | None = None,
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
        handover: Reads, at rest, how many seconds the cores take to hand work over. A round in which they
            took longer than is usual in these rounds is left out, where those that remain are as many as are
            taken before the first look.
        after_round: Called after each round with the rounds played and planned so far, of all groups, outside
            of what is timed: to show progress, to look at the machine. It may use the processor: each round
            begins at rest.

    Returns:
        For each group one timing for each candidate, in their order; they share the reference's samples. A
        candidate has fewer rounds than another if its interval was narrow enough earlier. `calls_s` and
        `fork_join_s` are of the rounds that count, like everything else.
    """
    gc.collect()
    with no_garbage_collection():
        mood = ForkJoinMonitor(handover, rest)
        plays = [_Play(group, options, clock, rest, mood) for group in groups]
        order = random.Random(0)
        mood.read()
        while open_plays := [p for p in plays if p.left] or [p for p in plays if p.reopen()]:
            # By chance among near ones, so that no group always comes after the same one.
            min(open_plays, key=lambda play: play.used(order.random())).round()
            after_round(sum(p.done for p in plays), sum(p.until for p in plays))
    return [play.timings() for play in plays]


class _Play:
    """One group while it is measured: warm, its samples so far, and which candidates need more."""

    def __init__(
        self, group: Group, options: LatencyOptions, clock: Clock, rest: Call, mood: ForkJoinMonitor
    ) -> None:
        self.done = 0  # rounds
        self.left = list(range(1, len(group.candidates) + 1))  # places of the candidates that need more
        self._calls = [group.reference, *group.candidates]
        self._budget_s = group.budget_s * len(group.candidates)
        self._spent_s = 0.0
        self._options = options
        self._least_rounds = options.looks[0]
        self._clock, self._rest, self._mood = clock, rest, mood
        self._handovers_s: list[float] = []  # one a round
        self._rounds: list[list[int]] = [[] for _ in self._calls]  # numbers of those that each ran in
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
            self._counts[place] = calibrate_calls(self._calls[place], self._call_s[place], sample_s, clock)

    def used(self, of_a_round: float) -> float:
        """Return which part of its rounds or of its time is used, the larger, and some of a round more."""
        part = max(self.done / self._options.looks[-1], self._spent_s / self._budget_s)
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
                rewarm(call, self._call_s[place], clock)
            before = place
            seconds = time_calls(call, self._counts[place], clock, self._stamps[place])
            self._samples_s[place].append(seconds)
        for place in (0, *self.left):
            self._rounds[place].append(self.done)
        self._handovers_s.append(self._mood.read())
        self._spent_s += clock() - start
        self.done += 1
        if self.done == self.until:
            self._look()

    def _same_pool(self, before: int, place: int) -> bool:
        """Tell whether threads that still spin are those that work on the next call: then in no one's way."""
        return self._pools[place] != "" and self._pools[place] == self._pools[before]

    def _look(self) -> None:
        self.left = [place for place in self.left if not self._is_narrow(place)]
        if self.left and not self._go_on():
            self.left = []

    def reopen(self) -> bool:
        """Go on with candidates that were known early, before it showed that the mood was an unusual one.

        Each is given so many more rounds at once: when it stops has nothing to do with what comes out.
        """
        most = self._options.looks[-1] - self._least_rounds
        few = [
            place
            for place in range(1, len(self._calls))
            if len(self._usual(place)) < self._least_rounds and len(self._rounds[place]) <= most
        ]
        self.left = few if few and self._plan(self.done + self._least_rounds) else []
        return bool(self.left)

    def _go_on(self) -> bool:
        """Plan the next look, and tell whether there are rounds and time for one."""
        return self._plan(next((look for look in self._looks if look > self.done), self.done))

    def _plan(self, until: int) -> bool:
        if self._spent_s * until > self._budget_s * self.done:
            # How long a round takes says nothing about the ratio: a look may be brought forward for it.
            until, self._looks = int(self._budget_s / self._spent_s * self.done), iter(())
        self.until = max(self.done, until)
        return self.until > self.done

    def _is_narrow(self, place: int) -> bool:
        level = (1 - self._options.confidence) / len(self._options.looks)
        low, high, coverage = median_interval(self._timing(place).log_ratios, 1 - level)
        return coverage >= 1 - level and (high - low) / 2 <= math.log1p(self._options.target_error)

    def timings(self) -> list[PairedTiming]:
        """Return what was measured of each candidate."""
        return [self._timing(place) for place in range(1, len(self._calls))]

    def _timing(self, place: int) -> PairedTiming:
        rounds = self._rounds[place]
        usual = self._usual(place)
        counting = usual if len(usual) >= self._least_rounds else range(len(rounds))
        counts = self._counts
        # In a round each has two samples, and the reference may have run in more rounds than this candidate.
        samples_s, stamps = self._samples_s[place], self._stamps[place]
        in_round = 2 * counts[place]
        reference_s = tuple(
            s for at in counting for s in self._samples_s[0][2 * rounds[at] : 2 * rounds[at] + 2]
        )
        candidate_s = tuple(s for at in counting for s in samples_s[2 * at : 2 * at + 2])
        return PairedTiming(
            reference_s,
            candidate_s,
            log_ratios_of(reference_s, candidate_s),
            counts[place],
            counts[0],
            len(self._options.looks),
            array("d", (s for at in counting for s in stamps[in_round * at : in_round * (at + 1)])),
            [self._handovers_s[rounds[at]] for at in counting],
            len(rounds) - len(counting),
        )

    def _usual(self, place: int) -> list[int]:
        """Return which of the rounds that a candidate ran in fell into the usual mood, by their place."""
        budget_s = self._mood.usual_limit_s
        return [at for at, number in enumerate(self._rounds[place]) if self._handovers_s[number] <= budget_s]

"""One group of callables that share a reference, while it is measured: rounds, looks, time budget.

Each round is one record; which rounds count is a filter over them, and a timing is taken from those that
remain. When to run which group's next round is not decided here (`interleaved.py`).
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.paired import PairedTiming, log_ratios_of
from pruning_core.measure.sampling import calibrate_calls, rewarm, time_calls, warm_up
from pruning_core.stats.intervals import median_interval
from pruning_core.system.clock import Call, Clock
from pruning_core.system.fork_join import MachineState


@dataclass(frozen=True)
class ReferenceGroup:
    """Callables that share a reference; each runs its model once and returns when the result is ready."""

    reference: Call
    candidates: Sequence[Call]  # at least one
    budget_s: float  # of time for each candidate; rounds before the first look are run in any case
    thread_pools: Sequence[str] = ()  # which pool works for each, the reference first; "": one of its own


@dataclass(frozen=True, eq=False)
class _Sampled:
    """A call, and what it takes to get one sample of it."""

    run: Call
    call_s: float  # roughly, from the warm-up
    calls_per_sample: int
    thread_pool: str

    def shares_threads(self, other: "_Sampled") -> bool:
        """Tell whether threads that still spin after the other one are those that work on this one."""
        return self.thread_pool != "" and self.thread_pool == other.thread_pool


@dataclass(frozen=True)
class Round:
    """One A B B A pass over a reference and the candidates that were open."""

    reference_s: Sequence[float]  # seconds per call: the sample before the candidates, and that after them
    candidates_s: Mapping[_Sampled, Sequence[float]]  # likewise, two samples of each
    call_times_s: Mapping[_Sampled, Sequence[float]]  # of each, seconds of every single call
    fork_join_s: float  # state of the machine: the slower reading of before and after; 0 where not read


class GroupSampler:
    """Samples one group: its calls, warm; its rounds so far; the candidates that need more."""

    def __init__(
        self,
        group: ReferenceGroup,
        options: LatencyOptions,
        clock: Clock,
        wait_until_idle: Call,
        state: MachineState,
    ) -> None:
        """Warm all calls up, and find how many make a sample."""
        self._options, self._min_rounds = options, options.looks[0]
        self._clock, self._wait_until_idle, self._state = clock, wait_until_idle, state
        self._budget_s = group.budget_s * len(group.candidates)
        self._spent_s = 0.0
        self._rounds: list[Round] = []
        self._reference, *self._candidates = self._prepare(group)
        self.open_candidates = list(self._candidates)
        self._looks = options.looks
        self.next_look = self._min_rounds

    @property
    def rounds_done(self) -> int:
        """Number of rounds so far, those among them that will not count."""
        return len(self._rounds)

    def budget_used(self, of_a_round: float) -> float:
        """Return the fraction used of its rounds or of its time, the larger, with a part of a round more."""
        used = max(self.rounds_done / self._options.looks[-1], self._spent_s / self._budget_s)
        return used * (1 + of_a_round / max(self.rounds_done, 1))

    def run_round(self) -> None:
        """Run one round; at a look, decide which candidates need more."""
        start = self._clock()
        calls = [self._reference, *self.open_candidates]
        samples_s: dict[_Sampled, list[float]] = {call: [] for call in calls}
        call_times_s = {call: array("d") for call in calls}
        previous = None  # calls of other groups may have run since the last round
        for call in (*calls, *reversed(calls)):
            if call is not previous:
                if previous is None or not call.shares_threads(previous):
                    self._wait_until_idle()
                rewarm(call.run, call.call_s, self._clock)
            previous = call
            sample_s = time_calls(call.run, call.calls_per_sample, self._clock, call_times_s[call])
            samples_s[call].append(sample_s)
        self._rounds.append(
            Round(samples_s.pop(self._reference), samples_s, call_times_s, self._state.read())
        )
        self._spent_s += self._clock() - start
        if self.rounds_done == self.next_look:
            self.open_candidates = [c for c in self.open_candidates if not self._is_narrow(c)]
            if self.open_candidates and not self._plan_next_look():
                self.open_candidates = []

    def resume_in_usual_state(self) -> bool:
        """Reopen candidates whose rounds turned out to lie in an unusual machine state.

        Such a candidate may have met its target before the usual state was known. It gets `min_rounds` more,
        a number fixed in advance, so that stopping does not depend on the new samples. Return whether any
        candidate was reopened.
        """
        max_rounds = self._options.looks[-1] - self._min_rounds
        few = [
            candidate
            for candidate in self._candidates
            if len(self._accepted_rounds(candidate)) < self._min_rounds
            and len(self._rounds_of(candidate)) <= max_rounds
        ]
        self.open_candidates = few if few and self._plan_look(self.rounds_done + self._min_rounds) else []
        return bool(self.open_candidates)

    def timings(self) -> list[PairedTiming]:
        """Return what was measured of each candidate."""
        return [self._timing(candidate) for candidate in self._candidates]

    def _prepare(self, group: ReferenceGroup) -> list[_Sampled]:
        runs = [group.reference, *group.candidates]
        thread_pools = list(group.thread_pools) or [""] * len(runs)
        sample_s = self._options.sample_ms / 1e3
        calls_s = warm_up(runs, self._options.warmup_ms / 1e3, sample_s, self._clock)
        sampled = []
        for run, call_s, thread_pool in zip(runs, calls_s, thread_pools, strict=True):
            self._wait_until_idle()
            sampled.append(
                _Sampled(run, call_s, calibrate_calls(run, call_s, sample_s, self._clock), thread_pool)
            )
        return sampled

    def _plan_next_look(self) -> bool:
        """Plan the next look, and tell whether there are rounds and time for one."""
        return self._plan_look(next((look for look in self._looks if look > self.rounds_done), 0))

    def _plan_look(self, rounds: int) -> bool:
        if self._spent_s * rounds > self._budget_s * self.rounds_done:
            # How long a round takes says nothing about the ratio: a look may be brought forward for it.
            rounds, self._looks = int(self._budget_s / self._spent_s * self.rounds_done), ()
        self.next_look = max(self.rounds_done, rounds)
        return self.next_look > self.rounds_done

    def _is_narrow(self, candidate: _Sampled) -> bool:
        level = (1 - self._options.confidence) / len(self._options.looks)
        low, high, coverage = median_interval(self._timing(candidate).log_ratios, 1 - level)
        return coverage >= 1 - level and (high - low) / 2 <= math.log1p(self._options.target_error)

    def _rounds_of(self, candidate: _Sampled) -> list[Round]:
        return [done for done in self._rounds if candidate in done.candidates_s]

    def _accepted_rounds(self, candidate: _Sampled) -> list[Round]:
        return [done for done in self._rounds_of(candidate) if self._state.accepts(done.fork_join_s)]

    def _timing(self, candidate: _Sampled) -> PairedTiming:
        all_rounds, accepted = self._rounds_of(candidate), self._accepted_rounds(candidate)
        if len(accepted) < self._min_rounds:
            accepted = all_rounds
        reference_s = tuple(s for done in accepted for s in done.reference_s)
        candidate_s = tuple(s for done in accepted for s in done.candidates_s[candidate])
        return PairedTiming(
            reference_s=reference_s,
            candidate_s=candidate_s,
            log_ratios=log_ratios_of(reference_s, candidate_s),
            calls_per_sample=candidate.calls_per_sample,
            reference_calls_per_sample=self._reference.calls_per_sample,
            looks=len(self._options.looks),
            call_times_s=array("d", (s for done in accepted for s in done.call_times_s[candidate])),
            fork_join_s=[done.fork_join_s for done in accepted],
            rounds_rejected=len(all_rounds) - len(accepted),
        )

"""Time candidates against their reference in interleaved rounds.

    one group     A B B A; A B C C B A for two candidates of one reference
    all groups    one round each, in random order, until every interval is narrow or its time budget is spent

Drift hits both sides of a pair, so their ratio is steadier than either time; drift linear in the log cancels
exactly (alternating with B A A B would undo that). Intervals are inspected after `min_rounds`, then each time
that the rounds have doubled; the error probability is divided over these looks. Evidence:
`measure/README.md`. Not here: statistics (`paired.py`), callables (`backends/`).
"""

import gc
import random
import time
from collections.abc import Callable, Sequence

import torch

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.group_sampler import GroupSampler, ReferenceGroup
from pruning_core.measure.paired import PairedTiming
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.system.clock import Call, Clock
from pruning_core.system.fork_join import MachineState
from pruning_core.system.thread_idle import wait_until_idle


def measure_pair(
    reference: Call,
    candidate: Call,
    options: LatencyOptions,
    *,
    thread_pool: str = "",
    clock: Clock = time.perf_counter,
) -> PairedTiming:
    """Time one callable against its reference on the CPU, in rounds A B B A (see `measure_interleaved`).

    Args:
        reference: Runs its model once and returns when the result is ready.
        candidate: Likewise.
        options: Rounds, target error, warm-up and length of a sample.
        thread_pool: Name of the pool that works for both; empty if each has its own.
        clock: Seconds that only go up; another one in tests.
    """
    group = ReferenceGroup(reference, [candidate], options.budget_s, [thread_pool, thread_pool])
    state = MachineState.of("cpu", torch.get_num_threads())
    return measure_interleaved([group], options, clock=clock, state=state)[0][0]


def measure_interleaved(
    groups: Sequence[ReferenceGroup],
    options: LatencyOptions,
    *,
    clock: Clock = time.perf_counter,
    wait_until_idle: Call = wait_until_idle,
    state: MachineState | None = None,
    after_round: Callable[[int, int], object] = lambda done, planned: None,
) -> list[list[PairedTiming]]:
    """Time several callables against one reference in rounds A B C … C B A; several such groups interleaved.

    Each candidate lies as far before the middle of a round as after it, as B does in A B B A: drift cancels
    for each of them, and the reference, often the slowest, is timed once for all.

    Args:
        groups: References with their candidates.
        options: Rounds, target error, warm-up and length of a sample.
        clock: Seconds that only go up; another one in tests.
        wait_until_idle: Returns when no thread is busy with the call before.
        state: Says which rounds count; None: all of them. A candidate's rounds are only rejected where those
            that remain are as many as are run before the first look.
        after_round: Called after each round with the rounds done and planned so far, of all groups, outside
            of what is timed: to show progress, to watch the machine. It may use the processor: each round
            begins with a wait.

    Returns:
        For each group one timing for each candidate, in their order; they share the reference's samples. A
        candidate has fewer rounds than another if its interval was narrow enough earlier. All of a timing is
        of the rounds that count.
    """
    gc.collect()
    with no_garbage_collection():
        state = state or MachineState()
        samplers = [GroupSampler(group, options, clock, wait_until_idle, state) for group in groups]
        order = random.Random(0)
        state.read()
        while unfinished := (
            [s for s in samplers if s.open_candidates] or [s for s in samplers if s.resume_in_usual_state()]
        ):
            # By chance among near ones, so that no group always comes after the same one.
            min(unfinished, key=lambda sampler: sampler.budget_used(order.random())).run_round()
            after_round(sum(s.rounds_done for s in samplers), sum(s.next_look for s in samplers))
    return [sampler.timings() for sampler in samplers]

"""Fork–join latency: how long a small task takes to reach the worker threads and come back.

A small network splits every layer over the pool, so this latency is part of each of its calls; a large one
hardly notices. On virtual machines it changes for minutes at a time, presumably with the placement of the
virtual cores. So rounds with unusual readings are left out of a comparison, but only where the readings are
clearly of two kinds (`usual_limit_s`). Evidence and limits: `system/README.md`.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from statistics import median
from typing import Self

import torch

from pruning_core.records.fields import FORK_JOIN_SAME_WITHIN
from pruning_core.system.clock import Call, Clock
from pruning_core.system.thread_idle import wait_until_idle

ATEN_GRAIN_SIZE = 32_768
"""PyTorch gives a thread at least this many numbers of an elementwise operation (`GRAIN_SIZE` of ATen)."""

UNTIMED_CALLS = 10
"""So that the threads of the pool are awake."""

MAX_TIMED_CALLS = 30

MAX_READING_S = 0.002
"""A neighbour on one of the cores may hold a call up for whole slices of time: then fewer calls will do."""

MIN_KIND_SHARE = 0.1
"""Fewer readings than this fraction are no kind of their own: a lucky one, or a neighbour's."""

MAX_BETWEEN_SHARE = 0.02
"""Readings between two kinds are at most this fraction: a round in which the state changed gives one."""


def measure_fork_join(clock: Clock = time.perf_counter) -> float:
    """Time the smallest addition that PyTorch splits between all its threads.

    Args:
        clock: Seconds that only go up; another one in tests.

    Returns:
        Seconds of one call, the median of up to `MAX_TIMED_CALLS`.
    """
    numbers = torch.zeros(ATEN_GRAIN_SIZE * torch.get_num_threads())
    end = clock() + MAX_READING_S
    for _ in range(UNTIMED_CALLS):
        numbers.add_(1.0)
    seconds: list[float] = []
    while not seconds or (len(seconds) < MAX_TIMED_CALLS and clock() < end):
        start = clock()
        numbers.add_(1.0)
        seconds.append(clock() - start)
    return median(seconds)


class MachineState:
    """Which state the machine was in during a round, by its fork–join latency, and which rounds count."""

    def __init__(
        self, measure: Callable[[], float] | None = None, wait_until_idle: Call = wait_until_idle
    ) -> None:
        """Set how the state is read.

        Args:
            measure: Returns the fork–join latency in seconds; None: nothing is read, and every round counts.
            wait_until_idle: Is called before each reading: threads that still spin would be in its way.
        """
        self._measure, self._wait_until_idle = measure, wait_until_idle
        self._readings_s: list[float] = []
        self._limit_s: float | None = None  # of the readings so far; None: not computed yet

    @classmethod
    def of(cls, device: str, threads: int, wait_until_idle: Call = wait_until_idle) -> Self:
        """Return the state of a device: read on a CPU with several threads, of one kind elsewhere."""
        return cls(measure_fork_join if device == "cpu" and threads > 1 else None, wait_until_idle)

    def read(self) -> float:
        """Read the state after a round; return the slower of this reading and the one before the round."""
        if self._measure is None:
            return 0.0
        self._wait_until_idle()
        self._readings_s.append(self._measure())
        self._limit_s = None
        return max(self._readings_s[-2:])

    def accepts(self, fork_join_s: float) -> bool:
        """Tell whether a round with this reading counts, by what is known so far."""
        if self._limit_s is None:
            self._limit_s = usual_limit_s(self._readings_s)
        return fork_join_s <= self._limit_s


def usual_limit_s(readings_s: Sequence[float]) -> float:
    """Return up to which reading the machine was in its usual state.

    Sorted readings are of two kinds where a gap as wide as the factor `FORK_JOIN_SAME_WITHIN` parts them:
    next to nothing lies in it, and enough below and above. The upper end of the lowest such gap is the limit.

    Args:
        readings_s: Fork–join latencies in seconds, above 0, in any order.

    Returns:
        Seconds; infinite where all readings are of one kind: then every round counts.
    """
    ascending = sorted(readings_s)
    count = len(ascending)
    for position, fast_s in enumerate(ascending):
        gap_ends_at = bisect_right(ascending, FORK_JOIN_SAME_WITHIN * fast_s)
        below, between, above = position + 1, gap_ends_at - position - 1, count - gap_ends_at
        if min(below, above) >= max(2, MIN_KIND_SHARE * count) and between <= MAX_BETWEEN_SHARE * count:
            return FORK_JOIN_SAME_WITHIN * fast_s
    return math.inf

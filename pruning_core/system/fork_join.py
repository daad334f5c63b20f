"""How long the cores of this machine take to hand work to one another, just now.

On a virtual machine that changes, for seconds or minutes at a stretch: likely its cores are moved, next to
one another on the real chip or apart. While it takes longer, a small network that is split between threads
layer by layer is slowed down, a large one less. On 2 shared cores of an AMD EPYC, in 150 s: this probe 3.6 or
5.4 µs, and with it, within 2 % each time, a ResNet-18 of ratio 0.9 at batch 1 118 or 263 µs on ONNX Runtime,
99 or 166 µs on OpenVINO; the dense one 3.0 or 3.1 ms on ONNX Runtime. A ratio of such times says little
without the mood it is of.
"""

import time
from collections.abc import Callable
from statistics import median

import torch

from pruning_core.records.fields import FORK_JOIN_SAME_WITHIN
from pruning_core.system.clock import Call, Clock

ATEN_GRAIN_SIZE = 32_768
"""PyTorch gives a thread at least so many numbers of an elementwise operation (`GRAIN_SIZE` of ATen)."""

CALLS_FIRST = 10
"""Untimed, so that the threads of the pool are awake."""

CALLS_TIMED = 30

LONGEST_S = 0.002
"""A neighbour on one of the cores may hold a call up for whole slices of time: then fewer calls will do."""


def measure_fork_join(clock: Clock = time.perf_counter) -> float:
    """Time the smallest addition that PyTorch splits between all its threads.

    Args:
        clock: Seconds that only go up; another one in tests.

    Returns:
        Seconds of one call, the median of up to 30; a third of a millisecond in all.
    """
    numbers = torch.zeros(ATEN_GRAIN_SIZE * torch.get_num_threads())
    end = clock() + LONGEST_S
    for _ in range(CALLS_FIRST):
        numbers.add_(1.0)
    seconds: list[float] = []
    while not seconds or (len(seconds) < CALLS_TIMED and clock() < end):
        start = clock()
        numbers.add_(1.0)
        seconds.append(clock() - start)
    return median(seconds)


class ForkJoinMonitor:
    """How long the cores take to hand work over, read between rounds; 0 s where that is not read."""

    def __init__(self, handover: Callable[[], float] | None, rest: Call) -> None:
        """Read by `handover`, in seconds, each time after `rest`; None where nothing is to be read."""
        self._handover, self._rest = handover, rest
        self._readings_s: list[float] = []

    def read(self) -> float:
        """Read it now, at rest; return the slower of this reading and that before the last round."""
        if self._handover is None:
            return 0.0
        self._rest()
        self._readings_s.append(self._handover())
        return max(self._readings_s[-2:])

    @property
    def usual_limit_s(self) -> float:
        """What counts as usual so far: little more than the faster readings, not than one lucky one."""
        if self._handover is None:
            return 0.0
        return FORK_JOIN_SAME_WITHIN * sorted(self._readings_s)[len(self._readings_s) // 10]

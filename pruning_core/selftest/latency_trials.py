"""Trials whose truth is known: a model against a copy of itself, and against a copy with more work to do.

Each trial is measured by the protocol of `measure/interleaved.py` and, right after, as tutorials do it: some
calls of one model in a row, then as many of the other, quotient of the means.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Literal

import torch
from torch import nn

from pruning_core.backends import load_executable
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.spec import MethodSpec
from pruning_core.measure.interleaved import measure_pair
from pruning_core.measure.paired import speedup_interval
from pruning_core.models import build_model
from pruning_core.pruning.step import prune
from pruning_core.system.clock import Call, Clock
from pruning_core.system.contention import ContentionMonitor

Condition = Literal["quiet", "contended"]

RATIOS = (0.75, 0.9)
"""The two model sizes: ResNet-18 with these fractions of its channels removed, untrained."""

BATCH_SIZES = (1, 32)

SEQUENTIAL_CALLS = 50
"""Calls of one model in a row of which the tutorial takes the mean."""

COMPUTING_S, SLEEPING_S = 0.05, 0.05
"""The competing process computes and sleeps for these times, over and over: it wants half of one core."""


@dataclass(frozen=True)
class TrialConfig:
    """What a trial is about."""

    ratio: float
    batch_size: int
    injected_slowdown: float  # work added to the candidate, as a fraction of its own; 0 for A/A
    tolerance: float  # slow-downs within it are no finding
    target_error: float  # rounds grow until the interval is narrower than ± this
    condition: Condition


@dataclass(frozen=True)
class Trial:
    """What one trial found."""

    config: TrialConfig
    slowdown: float  # candidate time ÷ reference time, paired
    slowdown_low: float
    slowdown_high: float
    rounds: int
    duration_s: float  # of the paired measurement
    sequential_slowdown: float
    sequential_duration_s: float
    other_cpu_share: float | None  # of our cores' time, used by other processes meanwhile

    @property
    def verdict(self) -> str:
        """`slower` or `faster` if the whole interval is beyond the tolerance, else `same`."""
        return _verdict(self.slowdown_low, self.slowdown_high, self.config.tolerance)

    @property
    def sequential_verdict(self) -> str:
        """The same of the sequential mean, which has no interval."""
        return _verdict(self.sequential_slowdown, self.sequential_slowdown, self.config.tolerance)


def plan_trials(each: int, slowed: int, conditions: tuple[Condition, ...]) -> list[TrialConfig]:
    """List the trials: A/A in each condition, injected slow-downs on a quiet machine, sizes interleaved.

    Args:
        each: A/A trials for each condition.
        slowed: Trials for each of the two injected slow-downs.
        conditions: `quiet`, `contended` or both.
    """
    # As precise as the tolerance asks for: a wider interval would reach into it, a narrower one take longer.
    kinds: list[tuple[Condition, float, float, float, int]] = []
    if "quiet" in conditions:
        kinds += [
            ("quiet", 0.0, 0.05, 0.03, each),
            ("quiet", 0.10, 0.05, 0.03, slowed),
            ("quiet", 0.05, 0.02, 0.02, slowed),
        ]
    if "contended" in conditions:
        kinds.append(("contended", 0.0, 0.05, 0.03, each))
    sizes = [(ratio, batch_size) for ratio in RATIOS for batch_size in BATCH_SIZES]
    return [
        TrialConfig(*sizes[number % len(sizes)], slowdown, tolerance, target_error, condition)
        for condition, slowdown, tolerance, target_error, count in kinds
        for number in range(count)
    ]


def run_trials(
    configs: list[TrialConfig], options: LatencyOptions, threads: int, model: str = "resnet18"
) -> Iterator[Trial]:
    """Run trials one after the other; a competing process runs along those that want it.

    Args:
        configs: What to try, those of one condition together.
        options: Of the paired measurement; each config has a precision of its own.
        threads: CPU threads of the models.
        model: A name in MODELS.
    """
    calls: dict[tuple[float, int], tuple[Call, Call]] = {}
    for condition, alike in groupby(configs, key=lambda config: config.condition):
        with _competitor(condition):
            for config in alike:
                size = (config.ratio, config.batch_size)
                if size not in calls:
                    calls[size] = _two_copies(model, *size, threads)
                reference, copy = calls[size]
                candidate = (
                    with_extra_work(copy, config.injected_slowdown) if config.injected_slowdown else copy
                )
                yield _run_trial(config, reference, candidate, options)


def with_extra_work(call: Call, slowdown: float, clock: Clock = time.perf_counter) -> Call:
    """Return a callable that does what `call` does, and then real arithmetic for a fraction of its time.

    So the smallest slow-down is known, whatever else the machine does: 1 + `slowdown`. The work also disturbs
    the call after it (caches, sleeping threads), so that what is measured lies a little above (`README.md`).

    Args:
        call: What is slowed.
        slowdown: The added work, as a fraction of the call's own time.
        clock: Seconds that only go up; another one in tests.
    """
    a = torch.randn(32, 32)

    def call_and_work() -> object:
        start = clock()
        answer = call()
        stop = start + (1 + slowdown) * (clock() - start)
        while clock() < stop:
            torch.mm(a, a)
        return answer

    return call_and_work


def _run_trial(config: TrialConfig, reference: Call, candidate: Call, options: LatencyOptions) -> Trial:
    start = time.perf_counter()
    with ContentionMonitor("cpu") as watch:
        precise = options.model_copy(update={"target_error": config.target_error})
        timing = measure_pair(reference, candidate, precise, thread_pool="eager")
    between = time.perf_counter()
    sequential = _mean_s(candidate) / _mean_s(reference)
    end = time.perf_counter()
    low, high, _ = speedup_interval(timing, options.confidence)
    return Trial(
        config=config,
        slowdown=1 / timing.speedup,
        slowdown_low=1 / high,
        slowdown_high=1 / low,
        rounds=timing.rounds,
        duration_s=between - start,
        sequential_slowdown=sequential,
        sequential_duration_s=end - between,
        other_cpu_share=watch.contention.other_cpu_share,
    )


def _mean_s(call: Call) -> float:
    """Time calls in a row, after a few untimed ones, as the tutorial does."""
    for _ in range(5):
        call()
    samples_s = []
    for _ in range(SEQUENTIAL_CALLS):
        start = time.perf_counter()
        call()
        samples_s.append(time.perf_counter() - start)
    return fmean(samples_s)


def _verdict(low: float, high: float, tolerance: float) -> str:
    if low > 1 + tolerance:
        return "slower"
    return "faster" if high < 1 / (1 + tolerance) else "same"


def _two_copies(model: str, ratio: float, batch_size: int, threads: int) -> tuple[Call, Call]:
    images = torch.randn(batch_size, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network = _pruned(model, ratio)
    one, two = (load_executable("eager", network, images[:1], "fp32", "cpu", threads) for _ in range(2))
    return one.bind(images), two.bind(images)


def _pruned(model: str, ratio: float) -> nn.Module:
    image = (3, 32, 32)
    dense, network = build_model(model, 10, image), build_model(model, 10, image)
    prune(network, dense, MethodSpec(name="magnitude"), ratio, torch.zeros(1, *image), seed=0)
    return network


@contextmanager
def _competitor(condition: Condition) -> Iterator[None]:
    if condition == "quiet":
        yield
        return
    # A program of its own, started by hand: a forked or spawned one would carry PyTorch along.
    program = f"""
import time
while True:
    stop = time.perf_counter() + {COMPUTING_S}
    while time.perf_counter() < stop:
        sum(range(1000))
    time.sleep({SLEEPING_S})
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait()

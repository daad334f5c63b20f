"""Trials whose truth is known: a model against a copy of itself, and against a copy with more work to do.

Each trial is measured by the protocol of `measure/interleaved.py` and, right after, as tutorials do it: 50
calls of one model in a row, then 50 of the other, quotient of the means.
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
from pruning_core.config.grid import LatencyOptions
from pruning_core.config.spec import MethodSpec
from pruning_core.measure.interleaved import measure_pair
from pruning_core.measure.paired import speedup_interval
from pruning_core.models import build_model
from pruning_core.pruning.step import prune
from pruning_core.system.clock import Call, Clock
from pruning_core.system.contention import ContentionMonitor

Condition = Literal["quiet", "busy"]

RATIOS = (0.75, 0.9)
"""The two model sizes: ResNet-18 with these fractions of its channels removed, untrained."""

BATCH_SIZES = (1, 32)

SEQUENTIAL_CALLS = 50
"""As in the tutorial: 50 calls in a row, mean."""

BUSY_S, IDLE_S = 0.05, 0.05
"""The competing process computes and sleeps in turns of these: busy half of the time."""


@dataclass(frozen=True)
class TrialConfig:
    """What a trial is about."""

    ratio: float
    batch_size: int
    extra: float  # work added to the candidate, as a fraction of its own; 0 for A/A
    tolerance: float  # slow-downs within it are no finding
    target_error: float  # rounds grow until the interval is narrower than ± this
    condition: Condition


@dataclass(frozen=True)
class Trial:
    """What came out."""

    setting: TrialConfig
    slowdown: float  # candidate time ÷ reference time, paired
    slowdown_low: float
    slowdown_high: float
    rounds: int
    seconds: float  # that the paired measurement took
    sequential_slowdown: float
    sequential_seconds: float
    other_cpu_share: float | None  # of our cores' time, used by other processes meanwhile

    @property
    def verdict(self) -> str:
        """`slower` or `faster` if the whole interval is beyond the tolerance, else `same`."""
        return _verdict(self.slowdown_low, self.slowdown_high, self.setting.tolerance)

    @property
    def sequential_verdict(self) -> str:
        """The same of the sequential mean, which has no interval."""
        return _verdict(self.sequential_slowdown, self.sequential_slowdown, self.setting.tolerance)


def plan_trials(each: int, planted: int, conditions: tuple[Condition, ...]) -> list[TrialConfig]:
    """List the trials: A/A in each condition, planted slow-downs on a quiet machine, sizes in turns.

    Args:
        each: A/A trials for each condition.
        planted: Trials for each of the two planted slow-downs.
        conditions: `quiet`, `busy` or both.
    """
    # As precise as the tolerance asks for: a wider interval would reach into it, a narrower one take longer.
    kinds: list[tuple[Condition, float, float, float, int]] = []
    if "quiet" in conditions:
        kinds += [
            ("quiet", 0.0, 0.05, 0.03, each),
            ("quiet", 0.10, 0.05, 0.03, planted),
            ("quiet", 0.05, 0.02, 0.02, planted),
        ]
    if "busy" in conditions:
        kinds.append(("busy", 0.0, 0.05, 0.03, each))
    sizes = [(ratio, batch_size) for ratio in RATIOS for batch_size in BATCH_SIZES]
    return [
        TrialConfig(*sizes[number % len(sizes)], extra, tolerance, target_error, condition)
        for condition, extra, tolerance, target_error, count in kinds
        for number in range(count)
    ]


def run_trials(
    settings: list[TrialConfig], options: LatencyOptions, threads: int, model: str = "resnet18"
) -> Iterator[Trial]:
    """Run trials one after the other; a competing process runs along those that want it.

    Args:
        settings: What to try, those of one condition together.
        options: Of the paired measurement; each setting has a precision of its own.
        threads: CPU threads of the models.
        model: A name in MODELS.
    """
    calls: dict[tuple[float, int], tuple[Call, Call]] = {}
    for condition, alike in groupby(settings, key=lambda setting: setting.condition):
        with _competitor(condition):
            for setting in alike:
                size = (setting.ratio, setting.batch_size)
                if size not in calls:
                    calls[size] = _two_copies(model, *size, threads)
                reference, copy = calls[size]
                candidate = with_extra_work(copy, setting.extra) if setting.extra else copy
                yield _run_trial(setting, reference, candidate, options)


def with_extra_work(call: Call, extra: float, clock: Clock = time.perf_counter) -> Call:
    """Return a callable that does what `call` does, and then real arithmetic for a fraction of its time.

    So the least slow-down is known, whatever else the machine does: 1 + `extra`. The work also disturbs the
    call after it (caches, sleeping threads): on 2 threads of an AMD EPYC 5 % came out as 5.5 %.
    """
    a = torch.randn(32, 32)

    def call_and_work() -> object:
        start = clock()
        answer = call()
        stop = start + (1 + extra) * (clock() - start)
        while clock() < stop:
            torch.mm(a, a)
        return answer

    return call_and_work


def _run_trial(setting: TrialConfig, reference: Call, candidate: Call, options: LatencyOptions) -> Trial:
    start = time.perf_counter()
    with ContentionMonitor("cpu") as watch:
        precise = options.model_copy(update={"target_error": setting.target_error})
        timing = measure_pair(reference, candidate, precise, pool="eager")
    between = time.perf_counter()
    sequential = _mean_s(candidate) / _mean_s(reference)
    end = time.perf_counter()
    low, high, _ = speedup_interval(timing, options.confidence)
    return Trial(
        setting=setting,
        slowdown=1 / timing.speedup,
        slowdown_low=1 / high,
        slowdown_high=1 / low,
        rounds=timing.rounds,
        seconds=between - start,
        sequential_slowdown=sequential,
        sequential_seconds=end - between,
        other_cpu_share=watch.contention.other_cpu_share,
    )


def _mean_s(call: Call) -> float:
    """Time calls in a row, after a few untimed ones, as the tutorial does."""
    for _ in range(5):
        call()
    seconds = []
    for _ in range(SEQUENTIAL_CALLS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return fmean(seconds)


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
    stop = time.perf_counter() + {BUSY_S}
    while time.perf_counter() < stop:
        sum(range(1000))
    time.sleep({IDLE_S})
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait()

"""Two networks, or any two callables, timed in pairs (`measure/README.md`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from numbers import Integral
from typing import TYPE_CHECKING

from pruning_core.api.comparison import CONFIDENCE, Comparison
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError

if TYPE_CHECKING:
    import torch

    from pruning_core.config.latency_options import LatencyOptions
    from pruning_core.measure.paired import PairedTiming
    from pruning_core.system.clock import Call, Clock
    from pruning_core.system.contention import ContentionMonitor

WARM_UP_MS, SAMPLE_MS = 200.0, 10.0
"""Shorter than a grid's: one pair is compared here, and more rounds tell more than longer samples."""

MIN_ROUNDS, MAX_ROUNDS = 10, 40
"""Before the first look at the interval, and in all."""

FEW_ROUNDS = 6
"""Run however long they take: the fewest whose range is a 95 % interval."""


def compare(
    reference: Callable[..., object],
    candidate: Callable[..., object],
    inputs: object = None,
    *,
    device: str | torch.device | None = None,
    threads: int | None = None,
    target_error: float = 0.02,
    tolerance: float = 0.05,
    time_limit_s: float = 10.0,
) -> Comparison:
    """Say whether a candidate is faster than its reference, by rounds in which both run.

    Two networks, on one input:

        >>> wide, narrow = nn.Linear(64, 2048), nn.Linear(64, 16)
        >>> found = compare(wide, narrow, torch.zeros(64, 64), time_limit_s=1)
        >>> found.verdict
        'faster'
        >>> print(found)  # doctest: +ELLIPSIS
        faster: ...× [..., ...], ... → ... ms; ... rounds, A/A ...× [..., ...], ...; cpu, ... thread...

    Any two callables, on nothing; of an ONNX Runtime session, say, `lambda: session.run(None, feed)`:

        >>> found = compare(lambda: sum(range(20000)), lambda: sum(range(100)), time_limit_s=1)
        >>> found.speedup.value > 10, found.is_at_least(2)
        (True, True)

    Networks run in evaluation and inference mode, and are back in their mode afterwards; other callables run
    as they are. Only times are compared, not answers.

    Args:
        reference: A network or any callable; returns when its work is done, or launches it on `device`.
        candidate: Likewise.
        inputs: A tensor, a tuple of arguments, or None: called with nothing. Tensors are copied, to `device`.
        device: `cpu`, `cuda`, …: where both work. None: where the networks lie, else the CPU.
        threads: CPU threads of PyTorch meanwhile; 0: as many as this process may use; None: as they are set.
        target_error: Half-width of the interval that is enough, a fraction.
        tolerance: A difference within it counts as none, a fraction.
        time_limit_s: About how long it may take; a few rounds are run in any case.

    Raises:
        OptionError: If an argument is invalid, or the networks lie on different devices.
        ModelError: If the reference or the candidate cannot run on these inputs.
    """
    import torch

    from pruning_core.api import subjects
    from pruning_core.config.parse import MAX_THREADS
    from pruning_core.system.hardware import resolve_threads, torch_threads

    for name, value, low, high in (
        ("target_error", target_error, 1e-4, 1.0),
        ("tolerance", tolerance, 0.0, 10.0),
        ("time_limit_s", time_limit_s, 1e-3, 86_400.0),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise OptionError(f"{name} must be a number from {low:g} to {high:g}; got {shown(value)}")
    whole = isinstance(threads, Integral) and not isinstance(threads, bool)
    if threads is not None and not (whole and 0 <= threads <= MAX_THREADS):
        raise OptionError(
            f"threads must be 1 or more, up to {MAX_THREADS}, or 0: all usable cores; got {shown(threads)}"
        )
    for name, subject in (("reference", reference), ("candidate", candidate)):
        if not callable(subject):
            raise OptionError(f"the {name} must be a network or a callable; got {type(subject).__name__}")
    found = subjects.device_of(reference, candidate, device)
    arguments = subjects.arguments_on(inputs, found)
    wanted = torch.get_num_threads() if threads is None else resolve_threads(int(threads))
    with ExitStack() as stack:
        stack.enter_context(torch_threads(wanted))
        copied = subjects.copy_of(reference)
        for subject in (reference, candidate, copied):
            stack.enter_context(subjects.evaluating(subject))
        calls = [subjects.bind(subject, arguments, found) for subject in (reference, candidate, copied)]
        calls_s = [
            subjects.first_call_s(call, name)
            for call, name in zip(calls, ("reference", "candidate", "reference's copy"), strict=True)
        ]
        pools = ["torch" if isinstance(s, torch.nn.Module) else "" for s in (reference, candidate, copied)]
        options = plan(calls_s, target_error, time_limit_s)
        return measure(calls, pools, options, device=found, threads=wanted, tolerance=tolerance)


def plan(calls_s: list[float], target_error: float, time_limit_s: float) -> LatencyOptions:
    """Choose rounds and time of a comparison.

    Looks that there is no time for would widen the interval for nothing: where there is time for one, all
    rounds are run before it.

    Args:
        calls_s: Seconds that one call of each takes, roughly.
        target_error: As asked for.
        time_limit_s: As asked for.
    """
    from pruning_core.config.latency_options import LatencyOptions
    from pruning_core.measure.sampling import REWARM_S

    warm_up_s = sum(max(WARM_UP_MS / 1e3, call_s) for call_s in calls_s)
    round_s = sum(2 * (max(SAMPLE_MS / 1e3, call_s) + REWARM_S) for call_s in calls_s)
    left_s = max(time_limit_s - warm_up_s, 1e-3)
    rounds = max(FEW_ROUNDS, min(MAX_ROUNDS, int(left_s / round_s)))
    one_look = rounds < 2 * MIN_ROUNDS
    return LatencyOptions(
        min_rounds=rounds if one_look else MIN_ROUNDS,
        max_rounds=rounds,
        target_error=min(target_error, 0.99),
        budget_s=left_s / (len(calls_s) - 1),
        warmup_ms=WARM_UP_MS,
        sample_ms=SAMPLE_MS,
        confidence=CONFIDENCE,
    )


def measure(
    calls: list[Call],
    pools: list[str],
    options: LatencyOptions,
    *,
    device: str,
    threads: int,
    tolerance: float,
    clock: Clock = time.perf_counter,
    wait_until_idle: Call | None = None,
    monitor: ContentionMonitor | None = None,
) -> Comparison:
    """Time reference, candidate and the reference's copy in rounds A B C C B A.

    Args:
        calls: The three; each returns when its work is done.
        pools: The thread pool that works for each (see `ReferenceGroup`).
        options: Rounds, target error, time.
        device: Whose clock and state are watched.
        threads: CPU threads of PyTorch, as set.
        tolerance: A difference within it counts as none.
        clock: Seconds that only go up; another one in tests.
        wait_until_idle: Returns when no thread is busy with the call before; another one in tests.
        monitor: Watches the machine meanwhile; another one in tests.
    """
    from pruning_core.measure.group_sampler import ReferenceGroup
    from pruning_core.measure.interleaved import measure_interleaved
    from pruning_core.system import thread_idle
    from pruning_core.system.contention import ContentionMonitor, contention_reason
    from pruning_core.system.fork_join import MachineState

    wait_until_idle = wait_until_idle or thread_idle.wait_until_idle

    reference, *others = calls
    group = ReferenceGroup(reference, others, options.budget_s, pools)
    with monitor or ContentionMonitor(device) as watch:
        timings: list[list[PairedTiming]] = measure_interleaved(
            [group],
            options,
            clock=clock,
            wait_until_idle=wait_until_idle,
            state=MachineState.of(device, threads, wait_until_idle),
            after_round=lambda _done, _planned: watch.sample(),
        )
    ((timing, control),) = timings
    contention = watch.contention
    reason = contention_reason(contention)
    return Comparison(timing, control, contention, reason, device, threads, tolerance)

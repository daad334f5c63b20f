"""Time networks against their reference without training: latency depends on shapes, not on weights.

    networks  →  loaded on each backend, bound to each batch size  →  interleaved rounds, as in `bench/`
              →  a `ShapeTime` for each network and setting, beside an A/A control for each setting

Not here: times of stored checkpoints (`suites/latency_session.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import nn

from pruning_core.backends import BACKENDS, load_executable
from pruning_core.backends.base import Executable
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.setting import Setting as Setting  # who times has it from here
from pruning_core.errors import BackendError
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.measure.interleaved import measure_interleaved
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, random_like
from pruning_core.shapes.norms import with_new_statistics
from pruning_core.shapes.shape_time import SettingTimes as SettingTimes  # who times has these from here
from pruning_core.shapes.shape_time import ShapeTime as ShapeTime
from pruning_core.shapes.shape_time import shape_time
from pruning_core.system.clock import Call
from pruning_core.system.contention import ContentionMonitor, contention_reason
from pruning_core.system.fork_join import MachineState
from pruning_core.system.hardware import resolve_threads, torch_threads
from pruning_core.system.thread_idle import wait_until_idle

QUICK = LatencyOptions(
    min_rounds=10, max_rounds=20, target_error=0.03, budget_s=4.0, warmup_ms=100.0, sample_ms=10.0
)
"""Rounds of a forecast: shorter than a grid's, with intervals as honest, if wider."""

CALIBRATION_EXAMPLES = 8
"""Random ones, for int8: ranges of activations change no shape."""

Say = Callable[[str], object]
Advance = Callable[[int, int], object]


@dataclass(frozen=True)
class _Bound:
    """One setting, ready to be timed."""

    setting: Setting
    group: ReferenceGroup
    timed: tuple[int, ...]  # which networks; a control is the last candidate of the group
    errors: tuple[str, ...]


def time_shapes(
    reference: nn.Module,
    networks: Sequence[nn.Module],
    example: Inputs,
    settings: Sequence[Setting],
    options: LatencyOptions = QUICK,
    *,
    with_control: bool = True,
    advance: Advance = lambda done, planned: None,
    say: Say = lambda text: None,
    go_on: bool = False,
) -> list[SettingTimes]:
    """Time networks against a reference, in every setting.

    Settings of one device and number of threads are interleaved in one session, with all their networks in
    memory at once. Batch norms get statistics of random inputs first (`shapes/norms.py`).

    Args:
        reference: A network in float32 on the CPU, trained or not.
        networks: Likewise; taking the same inputs.
        example: What all of them take, of one example: (1, C, H, W), say.
        settings: Backends, precisions and batch sizes; in the result they are in the same order.
        options: Rounds, target error and time for each network in each setting.
        with_control: Whether a copy of the reference is timed beside them, in every setting.
        advance: Called with the rounds done and planned so far.
        say: Called with what is being made ready: for each backend and precision once for each network, and
            once before.
        go_on: Where a backend cannot run the reference, its settings have that error and no times.

    Raises:
        OptionError: If a setting is invalid.
        UnavailableError: If its backend or device is not on this machine.
        BackendError: If a backend cannot run the reference, unless it shall `go_on`.
    """
    reference = with_new_statistics(reference, example)
    networks = [with_new_statistics(network, example) for network in networks]

    def session_of(setting: Setting) -> tuple[str, int]:
        return setting.device, resolve_threads(setting.threads)

    found: dict[Setting, SettingTimes] = {}
    for (device, threads), members in groupby(sorted(set(settings), key=_order), key=session_of):
        with torch_threads(threads):
            failed: dict[Setting, str] = {}
            unable = failed if go_on else None
            asked = (list(members), options.budget_s, with_control)
            bound = list(_bind(reference, networks, example, *asked, say, unable))
            for setting, error in failed.items():
                none, errors = (None,) * len(networks), (error,) * len(networks)
                found[setting] = SettingTimes(setting, none, None, errors, "")
            with ContentionMonitor(device) as monitor:

                def after_round(done: int, planned: int, monitor: ContentionMonitor = monitor) -> None:
                    monitor.sample()
                    advance(done, planned)

                timings = measure_interleaved(
                    [item.group for item in bound],
                    options,
                    wait_until_idle=wait_until_idle,
                    state=MachineState.of(device, threads, wait_until_idle),
                    after_round=after_round,
                )
            contention = contention_reason(monitor.contention)
        for item, of_group in zip(bound, timings, strict=True):
            times = [shape_time(timing, options.confidence) for timing in of_group]
            control = times.pop() if len(times) > len(item.timed) else None
            by_network = dict(zip(item.timed, times, strict=True))
            found[item.setting] = SettingTimes(
                item.setting,
                tuple(by_network.get(index) for index in range(len(networks))),
                control,
                item.errors,
                contention,
            )
    return [found[setting] for setting in settings]


def _order(setting: Setting) -> tuple[str, int, str, str, int]:
    return setting.device, setting.threads, setting.backend, setting.precision, setting.batch_size


def _bind(
    reference: nn.Module,
    networks: Sequence[nn.Module],
    example: Inputs,
    settings: Sequence[Setting],  # of one device and number of threads, sorted
    budget_s: float,  # for each network in each setting
    with_control: bool,  # also where it is not asked for, if no network can run
    say: Say,
    unable: dict[Setting, str] | None,  # gets those that cannot run the reference; None: that is an error
) -> Iterator[_Bound]:
    """Load each network once on each backend and precision, and bind it to each batch size."""
    generator = torch.Generator().manual_seed(0)
    calibration = random_like(example, CALIBRATION_EXAMPLES, generator)

    def load(network: nn.Module, setting: Setting) -> Executable:
        return load_executable(
            setting.backend,
            network,
            example,
            setting.precision,
            setting.device,
            setting.threads,
            calibration=calibration if setting.precision == "int8" else None,
        )

    for (backend, precision), members in groupby(settings, key=lambda item: (item.backend, item.precision)):
        first, *others = members
        say(f"{backend}:{precision}")
        try:
            loaded = load(reference, first)
            control = load(copy_network(reference), first) if with_control else None
        except BackendError as problem:
            if unable is None:
                raise
            unable |= dict.fromkeys((first, *others), str(problem))
            continue
        executables: list[Executable | None] = []
        failed: list[str] = []
        for index, network in enumerate(networks):
            executable, error = None, ""
            try:
                executable = load(network, first)
            except BackendError as problem:
                error = str(problem)
            executables.append(executable)
            failed.append(error)
            say(f"{backend}:{precision}, {index + 1} of {len(networks)}")
        pool = backend if BACKENDS[backend].shared_thread_pool else ""
        for setting in (first, *others):
            inputs = random_like(example, setting.batch_size, generator)
            try:
                run = loaded.bind(inputs)
                of_control = None if control is None else control.bind(inputs)
            except BackendError as problem:
                if unable is None:
                    raise
                unable[setting] = str(problem)
                continue
            calls: dict[int, Call] = {}
            errors = list(failed)
            for index, executable in enumerate(executables):
                if executable is not None:
                    try:
                        calls[index] = executable.bind(inputs)
                    except BackendError as problem:  # it takes no batch of that size, say
                        errors[index] = str(problem)
            candidates = list(calls.values())
            if of_control is not None or not candidates:
                candidates.append(of_control or load(copy_network(reference), first).bind(inputs))
            group = ReferenceGroup(run, candidates, budget_s, [pool] * (len(candidates) + 1))
            yield _Bound(setting, group, tuple(calls), tuple(errors))

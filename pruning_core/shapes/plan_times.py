"""The steps of a plan with times: each pruned shape against the dense one, in every setting, untrained.

preview_networks  →  copies of as many shapes as memory should hold  →  time_shapes  →  steps with times
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby

from torch import nn

from pruning_core.backends import check_available
from pruning_core.config.grid import Grid
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.parse import parse_backend
from pruning_core.config.setting import Setting
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.pruning.preview import PreviewStep
from pruning_core.pruning.preview_times import StepTime
from pruning_core.records.mac_counts import counted_alike
from pruning_core.shapes import memory
from pruning_core.shapes.timing import QUICK, SettingTimes, time_shapes

ROUNDS_S = 60.0
"""Seconds that the rounds of one network may take together, beyond those before the first look."""

Show = Callable[[str, int, int], object]
"""Takes what is being done, steps done and steps in all."""

Pruned = Iterator[tuple[PreviewStep, nn.Module]]
"""Steps with their networks, the dense one first; each is valid until the next one is asked for."""


def settings_of(grid: Grid) -> tuple[Setting, ...]:
    """Return the settings of a grid's axes: device by device, number of threads, backend, batch size.

    Raises:
        UnknownNameError: If there is no such backend.
        OptionError: If it has no such precision, or a text names no device.
        UnavailableError: If a backend or device is not on this machine.
    """
    settings = tuple(
        Setting(*parse_backend(item), batch_size, device, threads)
        for device in grid.devices
        for threads in grid.threads
        for item in grid.backends
        for batch_size in grid.batch_sizes
    )
    for setting in settings:
        check_available(setting.backend, setting.precision, setting.device)
    return settings


def time_steps(
    pruned: Pruned, shapes: int, example: Inputs, settings: Sequence[Setting], show: Show
) -> Iterator[PreviewStep]:
    """Give the steps of a plan, each with its times; the dense one has none.

    A step that removes nothing more is not timed: it has the shape of the one before.

    Args:
        pruned: Steps and networks; the dense one first.
        shapes: How many follow it.
        example: What all of them take, of one example: (1, C, H, W).
        settings: On what they are timed, at least one; each is on this machine.
        show: Gets progress.

    Raises:
        PruningBenchError: If a step cannot be pruned; those before it were given.
    """
    dense, network = next(pruned)
    yield dense
    reference = copy_network(network)
    largest = max(setting.batch_size for setting in settings)
    of_reference = memory.bytes_of(reference, example, largest)
    options = _options(shapes * len(settings))
    pairs = len({(setting.backend, setting.precision, setting.threads) for setting in settings})
    together = [list(settings)]
    if (3 * pairs + 4) * of_reference > memory.MEMORY_BYTES:  # it, its control and one more, on every backend
        together, pairs = [list(members) for _, members in groupby(settings, key=_loaded_as)], 1
    empty = (2 * pairs + 2) * of_reference  # on each backend it and its control; two copies here
    chunk: list[tuple[PreviewStep, nn.Module | None]] = []
    held = empty
    failure: Exception | None = None

    def timed() -> Iterator[PreviewStep]:
        networks = [network for _, network in chunk if network is not None]
        found = [
            times
            for members in together
            for times in _times_of(reference, networks, example, members, options, show)
        ]
        index = 0
        for step, network in chunk:
            if network is None:
                yield step
                continue
            yield replace(step, times=tuple(_step_time(times, index, dense, step) for times in found))
            index += 1

    for done in range(shapes):
        show("prune", done, shapes)
        try:
            step, network = next(pruned)
        except StopIteration:
            break
        except Exception as error:  # those before it are timed first
            failure = error
            break
        size = 0 if step.exhausted else (pairs + 2) * memory.bytes_of(network, example, largest)
        if any(kept is not None for _, kept in chunk) and held + size > memory.MEMORY_BYTES:
            yield from timed()
            chunk, held = [], empty
        chunk.append((step, None if step.exhausted else copy_network(network)))
        held += size
    yield from timed()
    if failure is not None:
        raise failure


def _times_of(
    reference: nn.Module,
    networks: Sequence[nn.Module],
    example: Inputs,
    settings: Sequence[Setting],
    options: LatencyOptions,
    show: Show,
) -> list[SettingTimes]:
    if not networks:
        return []
    loads = len({_loaded_as(setting) for setting in settings}) * (1 + len(networks))
    done = 0

    def say(_: str) -> None:
        nonlocal done
        show("load", done, loads)
        done += 1
        if done == loads:
            show("warm up", 0, 1)

    def advance(rounds: int, planned: int) -> None:
        show("time", rounds, planned)

    return time_shapes(reference, networks, example, settings, options, advance=advance, say=say, go_on=True)


def _loaded_as(setting: Setting) -> tuple[str, str, str, int]:
    return setting.device, setting.backend, setting.precision, setting.threads


def _options(cells: int) -> LatencyOptions:
    return QUICK.model_copy(update={"budget_s": min(QUICK.budget_s, ROUNDS_S / max(cells, 1))})


def _step_time(times: SettingTimes, index: int, dense: PreviewStep, step: PreviewStep) -> StepTime:
    """Return the time of one network among those that were timed together."""
    before, now = counted_alike(dense.mac_counts, step.mac_counts)
    reduction = before / now if before and now else None
    empty = StepTime(**asdict(times.setting), mac_reduction=reduction, contention=times.contention)
    found, control = times.networks[index], times.control
    if control is not None:
        empty = replace(
            empty,
            control_speedup=control.speedup,
            control_low=control.speedup_low,
            control_high=control.speedup_high,
        )
    if found is None:
        return replace(empty, error=times.errors[index])
    return replace(
        empty,
        latency_ms=found.latency_ms,
        reference_ms=found.reference_ms,
        speedup=found.speedup,
        low=found.speedup_low,
        high=found.speedup_high,
        mac_efficiency=None if reduction is None else found.speedup / reduction,
        rounds=found.rounds,
    )

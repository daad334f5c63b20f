"""The allocations of a chain: measured once on this machine, found on the trained dense network, and kept.

Both the times and what was allocated by them are tables of the store: a second run measures nothing, and
asks for the same keys.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pruning_core.chain.networks import example_of, load_network
from pruning_core.config.allocation import LATENCY_AWARE, Allocation
from pruning_core.config.grid import Grid
from pruning_core.config.parse import parse_backend
from pruning_core.config.spec import DatasetSpec, DenseSpec, MethodSpec, key_of
from pruning_core.config.validation import StrictModel
from pruning_core.models.inputs import Inputs
from pruning_core.pruning import find_method
from pruning_core.pruning.latency_aware import LatencyAware
from pruning_core.pruning.ranked import RankedNetwork, rank_network
from pruning_core.records.controls import architecture_of
from pruning_core.shapes.allocate import allocate_ratio
from pruning_core.shapes.group_times import measure_group_times
from pruning_core.shapes.time_model import GroupTimes
from pruning_core.shapes.timing import Setting
from pruning_core.store.one_process import one_process
from pruning_core.store.tables import read_table, table_path, write_table
from pruning_core.system.hardware import max_threads
from pruning_core.system.machine import describe_machine
from pruning_core.workspace import Workspace

VERSION = 1
"""Raised whenever other widths would be allocated, or other times measured."""


class Allocated(StrictModel):
    """What was allocated at the last ratio of a chain."""

    allocation: Allocation


def setting_of(grid: Grid) -> Setting:
    """Return where `latency-aware` is to be fast."""
    backend, precision = parse_backend(grid.optimize_for)
    return Setting(backend, precision, grid.optimize_batch_size, grid.devices[0], max_threads(grid.threads))


def allocated_methods(
    method: MethodSpec, ratios: Sequence[float], dense: DenseSpec, grid: Grid, workspace: Workspace
) -> list[MethodSpec]:
    """Return the method of each step of a chain; of `latency-aware`, with what it keeps at this step.

    Args:
        method: As the grid says it.
        ratios: Of the steps, rising, above 0. Ratio 1 removes nothing, and has no allocation.
        dense: Spec of the dense model. As long as it is not made, nothing can be allocated: then the methods
            have no allocation, and their specs are those of no checkpoint.
        grid: Says where it is to be fast.
        workspace: Where the work is done.
    """
    steps = [ratio for ratio in ratios if ratio < 1]
    if method.name != LATENCY_AWARE or not steps or not workspace.store.has(key_of(dense)):
        return [method for _ in ratios]
    allocations = _allocations(method, steps, dense, grid, workspace)
    allocations += [()] * (len(ratios) - len(steps))
    return [method.model_copy(update={"allocation": allocation}) for allocation in allocations]


def stand_in(method: MethodSpec) -> MethodSpec:
    """Return a method for forecasts: as wide as what a control takes or is not known yet, about."""
    of = architecture_of(method.name)
    if of is not None:
        method = method.model_copy(update={"name": "magnitude" if find_method(of).uses_data else of})
    waits = method.name == LATENCY_AWARE and not method.allocation
    return method.model_copy(update={"name": "magnitude"}) if waits else method


def _inputs_of(dense: DenseSpec) -> dict[str, Any]:
    """Return what decides the shapes of a network beside itself: not which images, but how large they are."""
    if isinstance(dense.dataset, DatasetSpec):
        return dense.dataset.model_dump(mode="json", include={"classes", "channels", "height", "width"})
    return dense.dataset.model_dump(mode="json")


def _allocations(
    method: MethodSpec, steps: Sequence[float], dense: DenseSpec, grid: Grid, workspace: Workspace
) -> list[Allocation]:
    setting, root = setting_of(grid), workspace.store.root
    shapes = {
        "version": VERSION,
        "machine": describe_machine(setting.threads)["fingerprint"],
        "setting": asdict(setting),
        "model": dense.model.model_dump(mode="json", exclude={"weights_sha256", "new_head"}),
        "inputs": _inputs_of(dense),
        "protect": method.protect,
        "ratio_of": method.ratio_of,
        "round_to": method.round_to,
        "library": find_method(method.name).library_version(),
    }
    tables = [
        table_path(root, {**shapes, "dense": key_of(dense), "ratios": list(steps[:number])})
        for number in range(1, len(steps) + 1)
    ]
    all_known = all(read_table(table, Allocated) is not None for table in tables)
    waits = f"another process is timing widths of {dense.model.name}; waiting for it"
    name = table_path(root, shapes).stem
    with nullcontext() if all_known else one_process(root, name, workspace.display.say, waits):
        return _allocate(method, steps, tables, shapes, dense, setting, workspace)


def _allocate(
    method: MethodSpec,
    steps: Sequence[float],
    tables: Sequence[Path],
    shapes: Mapping[str, Any],
    dense: DenseSpec,
    setting: Setting,
    workspace: Workspace,
) -> list[Allocation]:
    """Return the allocation of each step, kept in its table; those that are in none are found."""
    found: list[Allocation] = []
    ranked: RankedNetwork | None = None
    for ratio, kept in zip(steps, tables, strict=True):
        known = read_table(kept, Allocated)
        if known is None:
            checkpoint = workspace.find(dense)
            if checkpoint is None:  # it was damaged, and is made again
                return [() for _ in steps]
            example = example_of(dense)
            if ranked is None:
                ranked = rank_network(load_network(checkpoint), method, example, LatencyAware().importance())
            times = _times(ranked, example, shapes, setting, dense, workspace)
            known = Allocated(allocation=allocate_ratio(ranked, times, ratio, found[-1] if found else ()))
            write_table(kept, known)
        found.append(known.allocation)
    return found


def _times(
    ranked: RankedNetwork,
    example: Inputs,
    shapes: Mapping[str, Any],
    setting: Setting,
    dense: DenseSpec,
    workspace: Workspace,
) -> GroupTimes:
    """Return the times of a network's groups: from the store, or measured and kept there."""
    path = table_path(workspace.store.root, shapes)
    times = read_table(path, GroupTimes)
    if times is not None and times.roots == tuple(group.roots[0] for group in ranked.groups):
        return times
    label = f"time widths of {dense.model.name} on {setting.label}"
    with workspace.display.work(label) as advance:
        times = measure_group_times(ranked, example, setting, advance=advance)
    write_table(path, times)
    workspace.display.say(f"{label}: the model of its times is {times.error_text}; kept in {path}")
    if times.contention:
        workspace.display.say(
            f"{label}: {times.contention}; to measure again, delete the folder {path.parent}"
        )
    return times

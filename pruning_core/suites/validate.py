"""Refuse a grid that names what no table holds, before anything is trained.

Whether a backend is installed or a device is there is asked later, cell by cell.
"""

from collections.abc import Sequence

from pruning_core.backends import check_backend, check_device, check_masked
from pruning_core.config.allocation import HOW_TO_ALLOCATE, LATENCY_AWARE
from pruning_core.config.cells import dataset_labels
from pruning_core.config.grid import Grid
from pruning_core.config.parse import parse_backend
from pruning_core.config.pictures import check_for_folders
from pruning_core.config.regularize import ALL
from pruning_core.datasets import check_dataset_name
from pruning_core.errors import OptionError, UnavailableError
from pruning_core.models import check_model_name
from pruning_core.models.weights import check_weights
from pruning_core.pruning import METHODS, find_method, find_penalty
from pruning_core.pruning.combinations import check_method
from pruning_core.pruning.masks import MaskingMethod
from pruning_core.records.controls import DENSE_PLUS
from pruning_core.tasks import check_task_name


def validate_grid(grid: Grid) -> None:
    """Look every name of a grid up.

    Raises:
        UnknownNameError: With the closest name there is.
        OptionError: If a method has no such scope or limit, a backend has no such precision, two datasets are
            one folder, or an option of folders is given with another dataset.
        ModelError: If a user's own model cannot be imported, or a file of weights is not there.
        TaskError: If a user's own task cannot be imported, or is no class.
    """
    for model in grid.model:
        check_model_name(model)
        if (choice := grid.weights_of(model)) is not None:
            check_weights(choice, model)
    check_task_name(grid.task)
    for dataset in grid.dataset:
        check_dataset_name(dataset)
    check_for_folders(grid, grid.dataset)
    dataset_labels(grid.data)
    for method in grid.method:
        check_method(grid.method_spec(method))
        check_pattern_ratios(method, grid.ratios)
    check_optimize_for(grid)
    check_regularize(grid)
    for item in grid.backends:
        check_backend(*parse_backend(item))
        for method in grid.method:
            masks = find_method(method).masks or method == DENSE_PLUS  # which is the dense network there
            check_masked(parse_backend(item)[0], method, masks)
    check_targets(grid)


def check_targets(grid: Grid, trains: bool = True) -> None:
    """Refuse targets that no ratio alone can answer, before anything is built.

    Args:
        grid: Of the run.
        trains: Whether there will be a trained dense model to find widths on.

    Raises:
        OptionError: In one line.
        UnknownNameError: If there is no such backend.
    """
    if not grid.targets:
        return
    if grid.scope != "local" and (grid.target_on or not trains):
        raise OptionError(
            f"{'targets of time' if trains else 'targets'} need local scope: with {grid.scope} scope the "
            "widths depend on the trained weights, and are not known before; take --scope local, or name "
            f"{'a target of MACs, or ' if trains else ''}--ratios"
        )
    if LATENCY_AWARE in grid.method:
        raise OptionError(
            f"targets are not searched for {LATENCY_AWARE}: its widths are found on the trained dense model; "
            "name --ratios, each the time that magnitude takes at it"
        )
    for name in grid.method:
        if find_method(name).masks:
            raise OptionError(
                f"{name} keeps every width and sets weights to zero: no ratio of it is faster or smaller; "
                "take a method that cuts channels, such as magnitude"
            )
    if grid.target_on:
        check_backend(*parse_backend(grid.target_on))
        check_masked(parse_backend(grid.target_on)[0], grid.method[0], masks=False)
        for axis, values in (("devices", grid.devices), ("threads", grid.threads)):
            if len(values) > 1:
                raise OptionError(
                    f"{axis}: a target of time is met on one of them; got {', '.join(map(str, values))}. "
                    f"Name one, with --{axis} or in the grid file"
                )


def check_optimize_for(grid: Grid) -> None:
    """Refuse `latency-aware` that is told of no backend, and a backend that is told to no such method.

    Raises:
        OptionError: If it is so, or the backend is none.
    """
    if LATENCY_AWARE in grid.method and not grid.optimize_for:
        raise OptionError(HOW_TO_ALLOCATE)
    if grid.optimize_batch_size != 1 and not grid.optimize_for:
        raise OptionError(
            f"optimize_batch_size: only method {LATENCY_AWARE} is made for one, with optimize_for"
        )
    if grid.optimize_for:
        if LATENCY_AWARE not in grid.method:
            raise OptionError(
                f"optimize_for: only method {LATENCY_AWARE} is made for a backend; "
                f"got method {', '.join(grid.method)}"
            )
        check_backend(*parse_backend(grid.optimize_for))
        check_masked(parse_backend(grid.optimize_for)[0], LATENCY_AWARE, masks=False)


def check_regularize(grid: Grid) -> None:
    """Refuse the strength of a penalty for a method that has none.

    Raises:
        UnknownNameError: If there is no such method.
        OptionError: If nothing prepares the network for it.
    """
    for name, _ in grid.regularize.strength:
        if name != ALL and find_penalty(name) is None:
            prepared = ", ".join(method for method in METHODS if find_penalty(method) is not None)
            raise OptionError(
                f"regularize.strength: {name} cuts the dense network as it is, without a penalty before; "
                f"those that have one: {prepared}"
            )


def check_pattern_ratios(method: str, ratios: Sequence[float]) -> None:
    """Refuse ratios that the pattern of a masking method does not have.

    Raises:
        UnknownNameError: If there is no such method.
        OptionError: If it has one ratio only, and another is asked for.
    """
    found = find_method(method)
    only = found.only_ratio if isinstance(found, MaskingMethod) else None
    others = [f"{ratio:g}" for ratio in ratios if ratio not in (0.0, only)]
    if only is not None and others:
        raise OptionError(
            f"{method} has one ratio, {only:g}: its pattern says how many weights are masked; got "
            f"{', '.join(others)}. Take --ratios {only:g}, or leave it to a grid of its own"
        )


def check_devices(devices: Sequence[str]) -> None:
    """Check that at least one of several devices is here; cells on the others are skipped with the reason.

    Raises:
        OptionError: If one names no kind of device.
        UnavailableError: If none is on this machine.
    """
    absent = []
    for device in devices:
        try:
            check_device(device)
        except UnavailableError as error:
            absent.append(error)
    if len(absent) == len(devices):
        raise absent[0]

"""The options of `plan` that say on what its shapes are timed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pruning_core.errors import OptionError

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid
    from pruning_core.config.setting import Setting
    from pruning_core.pruning.preview import PreviewStep
    from pruning_core.shapes.plan_times import Pruned

_AXES = {
    "backends": "With --measure: name or name:precision, separated by commas (default: eager).",
    "batch_sizes": "With --measure: whole numbers (default: 1,32).",
    "devices": "With --measure: cpu, cuda:0, … (default: cpu).",
    "threads": "With --measure: numbers of CPU threads (default: all usable).",
}


def measure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for name, text in reversed(_AXES.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar="LIST", help=text)(command)
    return click.option(
        "--measure",
        is_flag=True,
        help="Also time each pruned shape against the dense one, untrained: a minute or two.",
    )(command)


def measured_axes(measure: bool, axes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the fields of a grid that were given.

    Raises:
        OptionError: If one was given, and nothing is measured.
    """
    given = {name: value for name, value in axes.items() if value is not None}
    if given and not measure:
        name = next(iter(given)).replace("_", "-")
        raise OptionError(f"--{name} says on what shapes are timed: give --measure too")
    return given


def measured_settings(measure: bool, grid: "Grid") -> "tuple[Setting, ...]":
    """Return on what the shapes are timed; nothing where they are not.

    Raises:
        PruningBenchError: If a backend, precision or device is none, or not on this machine.
    """
    if not measure:
        return ()
    from pruning_core.shapes.plan_times import settings_of

    return settings_of(grid)


def timed_steps(
    networks: "Pruned", shapes: int, image: tuple[int, int, int], settings: "tuple[Setting, ...]"
) -> "list[PreviewStep]":
    """Return the steps of one network with their times, and show progress meanwhile.

    Args:
        networks: Steps with their networks, the dense one first.
        shapes: How many follow it.
        image: Channels, height, width.
        settings: On what they are timed.
    """
    import torch

    from pruning_core.progress import ProgressDisplay
    from pruning_core.shapes.plan_times import time_steps

    with ProgressDisplay().phases("") as show:
        return list(time_steps(networks, shapes, torch.zeros(1, *image), settings, show))

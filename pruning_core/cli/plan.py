"""The command `pruning-bench plan`: what pruning would give, without training."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning_core.cli.measure_options import measure_options, measured_axes, measured_settings, timed_steps
from pruning_core.cli.options import (
    FILE,
    NumberRange,
    download_option,
    layer_options,
    parse_image,
    weights_options,
)
from pruning_core.cli.target_options import target_options, with_found_ratios, with_targets
from pruning_core.config.parse import USUAL_CLASSES
from pruning_core.config.scopes import SCOPES
from pruning_core.console.streams import print_content, print_pieces
from pruning_core.errors import PruningError
from pruning_core.process.interrupts import RESUMES, say_kept

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid
    from pruning_core.config.setting import Setting
    from pruning_core.config.spec import MethodSpec

LIMIT_S = 1800.0
"""Seconds for one network of several."""

PATTERN_SIGNS = "*?["


@click.command()
@click.option(
    "--model",
    default="resnet18",
    show_default=True,
    help="Network, torchvision:NAME, timm:NAME or module:function; several, and patterns: 'torchvision:*', "
    "'my_nets:*'.",
)
@click.option(
    "--method", default="magnitude", show_default=True, help="Pruning method, or several: magnitude,random."
)
@click.option(
    "--ratios",
    default="0.1:0.9:0.1",
    show_default=True,
    help="0.25,0.5, start:stop:step, linear:stop:steps or exponential:stop:steps.",
)
@target_options
@click.option(
    "--schedule", type=click.Choice(["iterative", "one-shot"]), default="iterative", show_default=True
)
@click.option("--scope", type=click.Choice(SCOPES), default="local", show_default=True)
@click.option(
    "--round-to", type=click.IntRange(1, 4096), default=2, show_default=True, help="Widths are multiples."
)
@layer_options
@weights_options
@download_option
@click.option(
    "--classes", type=click.IntRange(2, 100_000), help="Of the last layer (default: of the weights, else 10)."
)
@click.option(
    "--image",
    metavar="CxHxW",
    help="Shape of one image (default: each network's own; 3x32x32 for one of yours).",
)
@click.option(
    "--format", type=click.Choice(["terminal", "csv", "json"]), default="terminal", show_default=True
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="Keep the rows here, as JSON, each network's when it is done; the same command goes on from them.",
)
@click.option(
    "--check",
    is_flag=False,
    flag_value="reload,train,onnx",
    metavar="[LIST]",
    help="Also try each pruned network: reload (stored, loaded, same answers), train (one step), onnx "
    "(exported; failing is noted). Alone: all of them.",
)
@click.option(
    "--limit-s",
    type=NumberRange(1, 86_400),
    help=f"Seconds for one network and method, in a process of its own (of several: {LIMIT_S:g}).",
)
@measure_options
def plan(
    model: str,
    method: str,
    ratios: str,
    schedule: str,
    scope: str,
    round_to: int,
    protect: str | None,
    ratio_of: str | None,
    max_ratio: float | None,
    weights: str | None,
    strip_prefix: str | None,
    new_head: bool,
    download: bool,
    classes: int | None,
    image: str | None,
    format: str,
    output: Path | None,
    check: str | None,
    limit_s: float | None,
    measure: bool,
    backends: str | None,
    batch_sizes: str | None,
    devices: str | None,
    threads: str | None,
) -> None:
    """Show what pruning would give, in seconds, without training; with --measure also in time.

    Of several networks or methods, or with --output or --limit-s, each is planned in a process of its own.
    One that fails has its error in its rows, and the others go on; the exit code is 2 if any failed.
    """
    from pruning_core.chain.preview_checks import parse_checks
    from pruning_core.config.grid import make_grid
    from pruning_core.pruning.combinations import check_method

    settings = {"ratios": ratios, "schedule": schedule, "scope": scope, "round_to": round_to}
    layers: dict[str, Any] = {"protect": protect, "ratio_of": ratio_of, "max_ratio": max_ratio}
    layers |= {"weights": weights, "strip_prefix": strip_prefix, "new_head": new_head or None}
    settings |= {name: value for name, value in layers.items() if value is not None}
    on_what = {"backends": backends, "batch_sizes": batch_sizes, "devices": devices, "threads": threads}
    axes = measured_axes(measure, on_what)
    grid = make_grid(with_targets({**settings, **axes, "model": model, "method": method}))
    on = measured_settings(measure, grid)
    methods = [grid.method_spec(name) for name in grid.method]
    for spec in methods:
        check_method(spec)
    shape = None if image is None else parse_image(image)
    grid = with_found_ratios(grid, classes, shape, USUAL_CLASSES, download)
    checks = () if check is None else parse_checks(check)
    one = len(grid.model) == len(methods) == 1 and not any(sign in model for sign in PATTERN_SIGNS)
    if one and output is None and limit_s is None:
        _plan_one(grid, methods[0], classes, shape, format, checks, download, on)
    else:
        limit = limit_s or LIMIT_S
        _plan_several(grid, methods, classes, shape, format, checks, output, limit, download, on)


def _plan_one(
    grid: "Grid",
    method: "MethodSpec",
    classes: int | None,
    image: tuple[int, int, int] | None,
    format: str,
    checks: tuple[str, ...],
    download: bool,
    measure: "tuple[Setting, ...]",
) -> None:
    from pruning_core.chain.preview_checks import make_check
    from pruning_core.config.cells import DENSE
    from pruning_core.models import default_image
    from pruning_core.models.weights import classes_for
    from pruning_core.pruning.matrix import machine_of
    from pruning_core.pruning.preview import preview_networks
    from pruning_core.pruning.step_table import render_steps

    (model,), ratios = grid.model, grid.ratios
    weights = grid.weights_of(model)
    shape = image or default_image(model) or (3, 32, 32)
    if weights is not None:
        classes = classes_for(model, weights, classes, USUAL_CLASSES, shape, download)
    classes = classes or USUAL_CLASSES
    check = make_check(checks, model, classes, shape) if checks else None
    with_dense = format == "terminal"
    networks = preview_networks(
        model,
        method,
        ratios,
        classes=classes,
        image=shape,
        with_dense=with_dense or bool(measure),
        check=check,
        weights=weights,
    )
    steps = timed_steps(networks, len(ratios), shape, measure) if measure else [step for step, _ in networks]
    steps = steps if with_dense else [step for step in steps if step.method != DENSE]
    text = f"{render_steps(steps, format, machine_of(measure))}\n"
    if format == "terminal":
        print_pieces([text])
    else:
        print_content([text])
    if error := next((f"ratio {step.ratio:g}: {step.error}" for step in steps if step.error), ""):
        raise PruningError(error)


def _plan_several(
    grid: "Grid",
    methods: "Sequence[MethodSpec]",
    classes: int | None,
    image: tuple[int, int, int] | None,
    format: str,
    checks: tuple[str, ...],
    output: Path | None,
    limit_s: float,
    download: bool,
    measure: "tuple[Setting, ...]",
) -> None:
    from pruning_core.chain.plan_worker import WORKER
    from pruning_core.progress import ProgressDisplay
    from pruning_core.pruning.matrix import make_tasks, plan_matrix
    from pruning_core.pruning.matrix_file import MatrixFile
    from pruning_core.pruning.preview_table import csv_pieces, json_pieces, render_matrix

    display = ProgressDisplay()
    tasks = make_tasks(
        grid.model,
        methods,
        grid.ratios,
        classes,
        image,
        checks,
        display.say,
        grid.weights_of,
        download,
        measure,
    )
    kept = None if output is None else MatrixFile(output, tasks)
    if output is not None:
        say_kept(RESUMES)
    errors: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for of_task in plan_matrix(tasks, WORKER, limit_s, kept, display):
            errors.extend([row["error"] for row in of_task if row["error"]][:1])
            yield from of_task

    if format == "json":
        print_content(json_pieces(rows()), at_once=True)
    elif format == "csv":
        print_content(csv_pieces(rows(), measure), at_once=True)
    else:
        print_pieces([f"{render_matrix(list(rows()))}\n"])
    if errors and len(tasks) == 1:
        raise PruningError(errors[0])
    if errors:
        raise PruningError(f"{len(errors)} of {len(tasks)} could not be planned; their rows say why")

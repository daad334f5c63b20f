"""The command `pruning-bench plan`: what pruning would give, without training."""

import re

import click

from pruning_core.cli.options import protect_option, ratio_of_option
from pruning_core.console.shown import shown
from pruning_core.console.streams import print_content, print_pieces
from pruning_core.errors import OptionError

MAX_IMAGE_VALUES = 2**23
"""Numbers in one image: a network that is traced keeps many times as much in memory."""


@click.command()
@click.option("--model", default="resnet18", show_default=True, help="Network, or module:function.")
@click.option("--method", default="magnitude", show_default=True, help="Pruning method.")
@click.option("--ratios", default="0.1:0.9:0.1", show_default=True, help="0.25,0.5 or start:stop:step.")
@click.option(
    "--schedule", type=click.Choice(["iterative", "one-shot"]), default="iterative", show_default=True
)
@click.option("--scope", type=click.Choice(["local", "global"]), default="local", show_default=True)
@click.option(
    "--round-to", type=click.IntRange(1, 4096), default=2, show_default=True, help="Widths are multiples."
)
@protect_option
@ratio_of_option
@click.option("--classes", type=click.IntRange(2, 100_000), default=10, show_default=True)
@click.option("--image", default="3x32x32", show_default=True, metavar="CxHxW", help="Shape of one image.")
@click.option(
    "--format", type=click.Choice(["terminal", "csv", "json"]), default="terminal", show_default=True
)
def plan(
    model: str,
    method: str,
    ratios: str,
    schedule: str,
    scope: str,
    round_to: int,
    protect: str | None,
    ratio_of: str | None,
    classes: int,
    image: str,
    format: str,
) -> None:
    """Show what pruning would give, in seconds, without training."""
    from pruning_core.config.grid import make_grid
    from pruning_core.pruning.preview import preview_steps, render_steps
    from pruning_core.suites.validate import check_scope

    check_scope(method, scope)
    options = {"ratios": ratios, "schedule": schedule, "scope": scope, "round_to": round_to}
    layers = {"protect": protect, "ratio_of": ratio_of}
    grid = make_grid(options | {name: value for name, value in layers.items() if value is not None})
    steps = preview_steps(
        model,
        grid.method_spec(method),
        grid.ratios,
        classes=classes,
        image=_image_shape(image),
        with_dense=format == "terminal",
    )
    text = f"{render_steps(list(steps), format)}\n"
    if format == "terminal":
        print_pieces([text])
    else:
        print_content([text])


def _image_shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x", 3)
    if len(parts) == 3 and all(re.fullmatch("[0-9]{1,6}", part) for part in parts):
        channels, height, width = map(int, parts)
        if 0 < channels * height * width <= MAX_IMAGE_VALUES:
            return channels, height, width
    raise OptionError(
        f"--image: channels, height and width as 3x32x32; got {shown(text)}. "
        f"At most {MAX_IMAGE_VALUES:,} numbers in all"
    )

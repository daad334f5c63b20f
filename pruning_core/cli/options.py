"""Kinds of options that several commands share, and what reads a long one."""

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.home import expand_home

MAX_IMAGE_VALUES = 2**23
"""Numbers in one image: a network that is traced keeps many times as much in memory."""


class _Folder(click.Path):
    """A folder; an empty text is none, where Python would take it for the current one."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Refuse an empty text, expand `~`, else do as click does."""
        if not os.fspath(value):
            self.fail("needs the path of a folder; got an empty text", param, ctx)
        try:
            return super().convert(expand_home(Path(value)), param, ctx)
        except OptionError as error:
            self.fail(str(error), param, ctx)


class Number(click.types.FloatParamType):
    """A number, which an empty text, NaN and infinity are not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not finite, else do as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number that limits anything", param, ctx)
        return number


class NumberRange(Number, click.FloatRange):
    """A number within bounds."""

    name = "number"


FRACTION = NumberRange(0, 1)
FOLDER = _Folder(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

_LAYER_OPTIONS = (
    click.option(
        "--protect", metavar="LIST", help="Layers that stay whole: names or patterns, layer1.*,head."
    ),
    click.option(
        "--ratio-of", metavar="LIST", help="Layers with a ratio of their own: layer4.*=0.8,head=0.2."
    ),
    click.option(
        "--max-ratio",
        type=float,
        metavar="FRACTION",
        help="No layer loses more than this share of its dense width (default: 1, no limit).",
    ),
)
_WEIGHTS_OPTIONS = (
    click.option(
        "--weights",
        metavar="FILE|LIST",
        help="Trained weights: a file, torchvision:ENUM or timm; of several networks: NAME=FILE,…",
    ),
    click.option("--strip-prefix", metavar="TEXT", help="Before the names that count in a file of weights."),
    click.option(
        "--new-head",
        is_flag=True,
        help="Make a new last layer, and train the network from its weights on.",
    ),
)
_PICTURE_OPTIONS = (
    click.option(
        "--image-size", metavar="N|HxW", help="Pictures of a folder are resized and cropped to this."
    ),
    click.option("--normalize", metavar="HOW", help="By dataset (default), imagenet, or [-1,1]."),
    click.option("--test-share", type=float, help="Test on this share of one folder of classes."),
    click.option(
        "--skip-broken", type=int, metavar="N", help="Leave out up to N pictures that cannot be read."
    ),
)


def layer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how much single layers lose."""
    return _with(_LAYER_OPTIONS, command)


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say with which weights a network begins."""
    return _with(_WEIGHTS_OPTIONS, command)


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how pictures are read."""
    return _with(_PICTURE_OPTIONS, command)


def _with(options: Sequence[Callable[..., Any]], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


download_option = click.option(
    "--download", is_flag=True, help="Let a dataset or published weights be downloaded."
)

store_option = click.option(
    "--store",
    "root",
    type=FOLDER,
    envvar="PRUNING_BENCH_STORE",
    help="Where checkpoints are kept (default: the user's cache folder).",
)


def given_options(*parameters: str) -> list[str]:
    """Return those options of this command, by the names of their parameters, that the user gave."""
    context = click.get_current_context()
    return [
        option.opts[0]
        for option in context.command.params
        if option.name in parameters
        and context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    ]


def parse_image(text: str) -> tuple[int, int, int]:
    """Return channels, height and width of `3x32x32`.

    Raises:
        OptionError: If it is no such text, or the image is too large.
    """
    parts = text.lower().split("x", 3)
    if len(parts) == 3 and all(re.fullmatch("[0-9]{1,6}", part) for part in parts):
        channels, height, width = map(int, parts)
        if 0 < channels * height * width <= MAX_IMAGE_VALUES:
            return channels, height, width
    raise OptionError(
        f"--image: channels, height and width as 3x32x32; got {shown(text)}. "
        f"At most {MAX_IMAGE_VALUES:,} numbers in all"
    )

"""What a user decides of pictures: their size, their values, which are tested on, how many may be broken."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pruning_core.config.validation import StrictModel
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError

MAX_SIDE = 2048
"""Pixels: the activations of a network on larger pictures fit into hardly any memory."""

MAX_BROKEN = 1_000_000
"""Pictures that may be left out."""

Normalization = Literal["dataset", "imagenet", "[-1,1]"]


def parse_image_size(value: object) -> object:
    """Turn a side, or both as `"HxW"` or a list, into height and width.

    Raises:
        ValueError: If it is none of them, or a side is not from 1 to MAX_SIDE.
    """
    if value is None:
        return None
    sides: Sequence[object] = ()
    if isinstance(value, str) and len(value) < 20 and re.fullmatch(r"\d+([x×]\d+)?", value, re.ASCII):
        sides = [int(side) for side in re.split("[x×]", value)]
    elif isinstance(value, int) and not isinstance(value, bool):
        sides = [value]
    elif isinstance(value, list | tuple):
        sides = value
    whole = [side for side in sides if type(side) is int and 1 <= side <= MAX_SIDE]
    if len(whole) != len(sides) or len(sides) not in (1, 2):
        raise ValueError(
            f"a side, or height x width, as 224 or 192x256, each from 1 to {MAX_SIDE} pixels; "
            f"got {shown(value)}"
        )
    return whole[0], whole[-1]


class PictureOptions(StrictModel):
    """The keys of a grid that say how pictures are read."""

    image_size: Annotated[tuple[int, int] | None, BeforeValidator(parse_image_size)] = Field(
        None, description="Height and width that pictures of a folder are resized and cropped to."
    )
    normalize: Normalization = Field(
        "dataset",
        description="By the dataset's own mean and deviation, by ImageNet's, or to the range from -1 to 1.",
    )
    test_share: float | None = Field(
        None, gt=0, lt=1, description="Of one folder of classes: the fraction of pictures for testing."
    )
    skip_broken: int = Field(
        0, ge=0, le=MAX_BROKEN, description="So many pictures that cannot be read are left out, not more."
    )


def check_for_folders(options: PictureOptions, datasets: Sequence[str]) -> None:
    """Refuse options that only a folder of pictures has where a dataset is none.

    Raises:
        OptionError: In one line.
    """
    asked = {
        "image_size": options.image_size is not None,
        "test_share": options.test_share is not None,
        "skip_broken": options.skip_broken > 0,
    }
    others = [name for name in datasets if not name.startswith("folder:")]
    if others and any(asked.values()):
        names = ", ".join(name for name, given in asked.items() if given)
        raise OptionError(
            f"{names}: only a folder of pictures (--dataset folder:PATH) has this; got {others[0]}, "
            "whose pictures are what they are"
        )

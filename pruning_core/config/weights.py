"""Which trained weights the networks of a grid begin with, as people write it.

One source for all networks, or one for each: `best.pt`, `resnet18=a.pt,my_nets:build=b.pt`. A network that
nothing is said of is trained from its seed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo

from pruning_core.config.parse import LIBRARIES, MAX_NAME_LENGTH
from pruning_core.config.validation import StrictModel
from pruning_core.console.shown import shown

ALL = ""
"""Stands for a network's name where one source is given for all."""


class WeightsChoice(StrictModel):
    """Where the weights of one network are, and how they are to be taken."""

    source: str  # a file, `torchvision:ENUM`, or `timm`
    strip_prefix: str = ""
    new_head: bool = False


def is_published(source: str) -> bool:
    """Tell whether a source is a library's published weights, and no file."""
    return source.partition(":")[0] in LIBRARIES and "/" not in source


def parse_weights(value: object, info: ValidationInfo) -> object:
    """Turn one source, `network=source` separated by commas, a table or pairs of them into sorted pairs.

    Raises:
        ValueError: If a network is not of this grid or named twice, a source is no text or too long, or one
            file is given for several networks.
    """
    models: Sequence[str] = info.data.get("model", ())
    if isinstance(value, str):
        value = _pairs_of(value.strip(), models)
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if not isinstance(value, list | tuple) or not all(map(_is_pair, value)):
        raise ValueError(
            f'needs a file, torchvision:ENUM or timm, or a table of them, as "resnet18" = "best.pt"; '
            f"got {shown(value)}"
        )
    names = [name for name, _ in value]
    for name, source in value:
        if not source or len(source) > MAX_NAME_LENGTH or "\0" in source:
            raise ValueError(
                f"a file's name has 1 to {MAX_NAME_LENGTH} characters, none NUL; got {shown(source)}"
            )
        if names.count(name) > 1:
            raise ValueError(f"{shown(name)} has weights twice")
        if name != ALL and name not in models:
            raise ValueError(
                f"no model of this grid is called {shown(name)}; its models: {', '.join(models)}"
            )
        if name == ALL and len(models) > 1 and not is_published(source):
            each = ",".join(f"{model}=FILE" for model in models[:2])
            raise ValueError(
                f"one file cannot hold the weights of {len(models)} networks; name each: {each}; "
                f"got {shown(source)}"
            )
    return tuple(sorted((str(name), str(source)) for name, source in value))


WeightsByModel = Annotated[tuple[tuple[str, str], ...], BeforeValidator(parse_weights)]
"""(network or `ALL`, source), sorted; for a field of a model that has a `model` before it."""


def check_weights_keys(weights: WeightsByModel, strip_prefix: str, new_head: bool, epochs: int) -> None:
    """Refuse what says how to take weights where there are none, and a new head that is never trained.

    Args:
        weights: Of a grid.
        strip_prefix: Before the names in the file.
        new_head: Whether the last layer is made new.
        epochs: Of training a dense model.

    Raises:
        ValueError: In one line.
    """
    for key, given in (("strip_prefix", strip_prefix), ("new_head", new_head)):
        if given and not weights:
            raise ValueError(f"{key}: needs weights, of which it says how they are taken")
    if new_head and not epochs:
        raise ValueError("new_head: a new head needs training, and epochs of [train] is 0")


def choose_weights(
    weights: WeightsByModel, model: str, strip_prefix: str, new_head: bool
) -> WeightsChoice | None:
    """Return where the weights of one network are; None: it is trained from its seed."""
    named = dict(weights)
    source = named.get(model) or named.get(ALL)
    if source is None:
        return None
    return WeightsChoice(source=source, strip_prefix=strip_prefix, new_head=new_head)


def _pairs_of(text: str, models: Sequence[str]) -> list[tuple[str, str]]:
    """Split text at the networks' names, since a path may hold a comma and an equals sign."""
    names = "|".join(re.escape(model) for model in sorted(models, key=len, reverse=True))
    if not names or not re.match(rf"(?:{names})=", text):
        return [(ALL, text)]
    parts = re.split(rf",\s*(?=(?:{names})=)", text)
    return [(name, source.strip()) for name, _, source in (part.partition("=") for part in parts)]


def _is_pair(item: object) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and all(isinstance(part, str) for part in item)

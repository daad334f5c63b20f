"""The widths that method `latency-aware` was allocated, and the setting that it is to be fast in, as written.

Found by measuring (`chain/allocations.py`), stored in the spec: the checkpoint needs no measuring again.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from pruning_core.config.parse import MAX_AXIS_LENGTH, parse_backend
from pruning_core.console.shown import shown

LATENCY_AWARE = "latency-aware"
"""Name of the one method that takes an allocation."""

HOW_TO_ALLOCATE = (
    f"{LATENCY_AWARE} needs a width for each group, found by timing them where the network is to be fast: "
    "give prepare or the suites --optimize-for, openvino:int8 say, and --optimize-batch-size"
)

MAX_WIDTH = 10_000_000
"""Channels of one layer."""

_MAX_LAYERS = 100 * MAX_AXIS_LENGTH


def parse_allocation(value: object) -> tuple[tuple[str, int], ...]:
    """Turn a table of layer → kept width, or pairs of them, into sorted pairs.

    Raises:
        ValueError: If it is neither, a layer has no name or stands twice, or a width is none.
    """
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if (
        not isinstance(pairs, list | tuple)
        or len(pairs) > _MAX_LAYERS
        or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs)
    ):
        raise ValueError(f'needs a table of layers and kept widths, as "conv1" = 32; got {shown(value)}')
    found: dict[str, int] = {}
    for layer, width in pairs:
        if not isinstance(layer, str) or not layer or layer in found:
            raise ValueError(f"needs the name of a layer, each once; got {shown(layer)}")
        if type(width) is not int or not 1 <= width <= MAX_WIDTH:
            raise ValueError(f"a width is a whole number from 1; got {shown(width)} for {shown(layer)}")
        found[layer] = width
    return tuple(sorted(found.items()))


Allocation = Annotated[tuple[tuple[str, int], ...], BeforeValidator(parse_allocation)]
"""(a layer of a group, channels that the group keeps), sorted by layer; all other groups stay whole."""


def check_optimize_for(value: str) -> str:
    """Return a backend as a grid says it, `openvino:int8`; empty: none.

    Raises:
        ValueError: If it names several, or its precision is none.
    """
    if "," in value:
        raise ValueError(f"one backend, as openvino:int8; got {shown(value)}")
    if value:
        parse_backend(value)
    return value


OptimizeFor = Annotated[str, AfterValidator(check_optimize_for)]
"""A backend as a grid says it, or nothing."""

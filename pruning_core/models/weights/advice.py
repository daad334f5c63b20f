"""What an error says of weights that do not fit: what differs, and what would make them fit."""

import shlex
from collections.abc import Collection, Iterator, Mapping

from torch import Tensor

from pruning_core.console.shown import shortened
from pruning_core.models.weights.difference import Difference, Wanted, rows_of, with_own_names

MAX_NAMED = 5
"""Tensors that an error names of each kind."""


def lines_of(difference: Difference, wanted: Wanted, given: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what differs, a line for each kind, the first tensors by name."""
    shapes = [
        f"{shortened(name, 60)} {_shape(given[name])} there, {_shape(wanted.tensors[name])} here"
        for name in difference.shapes
    ]
    missing, unexpected = ([shortened(n, 60) for n in d] for d in (difference.missing, difference.unexpected))
    for what, found in (
        ("missing", missing),
        ("not in the network", unexpected),
        ("of other shapes", shapes),
    ):
        if found:
            more = f", … {len(found)} in all" if len(found) > MAX_NAMED else ""
            yield f"{what}: {', '.join(found[:MAX_NAMED])}{more}"


def advice(
    difference: Difference,
    wanted: Wanted,
    given: Mapping[str, Tensor],
    in_head: Collection[str],
    classes: int,
) -> Iterator[str]:
    """Yield what would make the tensors fit, as far as that can be told."""
    if not difference.without(in_head):
        yield "all fits but the last layer: with --new-head it is made new"
    for prefix in _prefixes(wanted, given):
        under = {n.removeprefix(prefix): t for n, t in given.items() if n.startswith(prefix)}
        tensors = with_own_names(wanted, under)
        left = Difference.of(wanted, tensors)
        but_head = left.without({*rows_of(left.shapes, wanted, tensors, classes), *in_head})
        if not but_head:
            option = shlex.quote(prefix)
            yield f"--strip-prefix {option} would make {'all but the last layer' if left else 'all'} fit"
            return
    names = difference.unexpected
    if any(".parametrizations." in name or name.endswith(("weight_g", "weight_orig")) for name in names):
        yield "weights are computed from others there: build the network so, or remove that before saving"


def _prefixes(wanted: Wanted, given: Mapping[str, Tensor]) -> list[str]:
    """Return what stands in a file before the name of the network's first tensors, the longest first."""
    firsts = list(wanted.tensors)[:1]
    found = {name.removesuffix(own) for own in firsts for name in given if name.endswith(f".{own}")}
    return sorted(found, key=lambda prefix: (-len(prefix), prefix))


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"

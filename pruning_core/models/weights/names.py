"""The tensors of a file become those of a network: by name, by shape, each of them or none."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from pruning_core.console.shown import shortened
from pruning_core.errors import ModelError
from pruning_core.models.weights.advice import MAX_NAMED, advice, lines_of
from pruning_core.models.weights.difference import Difference, Wanted, rows_of, with_own_names


class OtherClassesError(ModelError):
    """Only the last layer differs: the weights are those of another number of classes."""

    def __init__(self, text: str, classes: int) -> None:
        """Keep how many classes the weights know."""
        super().__init__(text)
        self.classes = classes


def fit_names(
    network: nn.Module,
    given: Mapping[str, Tensor],
    refused: str,
    *,
    heads: tuple[str, ...],
    classes: int,
    strip_prefix: str = "",
    new_head: bool = False,
) -> dict[str, Tensor]:
    """Find the tensors of a network among those of a file.

    Args:
        network: It stays as it is.
        given: By the names in the file.
        refused: What an error begins with: names file and network.
        heads: Names of the layers that make the outputs.
        classes: Width of the one that makes logits.
        strip_prefix: Only names that begin with it count, without it.
        new_head: Do without the last layer, and without what else has a row for each class.

    Returns:
        First name in the network → tensor as it is in the file.

    Raises:
        OtherClassesError: If all fits but the number of classes.
        ModelError: If a name is missing or unknown, a shape differs, or tied tensors do.
    """
    wanted = Wanted(network)
    under = _under(given, strip_prefix, refused)
    tensors = with_own_names(wanted, under)
    difference = Difference.of(wanted, tensors)
    rows = rows_of(difference.shapes, wanted, tensors, classes)
    in_head = {name for name in wanted.tensors for head in heads if name.startswith(f"{head}.")}
    fresh = {wanted.firsts[name] for name in {*in_head, *rows}} | {*in_head, *rows} if new_head else set()
    left = difference.without(fresh)
    if left and rows and not difference.without(rows):
        raise _other_classes(refused, rows, classes)
    if left:
        lines = [f"{refused}:", *lines_of(left, wanted, tensors)]
        raise ModelError("\n  ".join([*lines, *advice(left, wanted, given, in_head, classes)]))
    return _by_first_names(wanted, tensors, fresh, refused)


def _under(given: Mapping[str, Tensor], prefix: str, refused: str) -> dict[str, Tensor]:
    under = {name.removeprefix(prefix): tensor for name, tensor in given.items() if name.startswith(prefix)}
    if not under:
        begin = sorted({f"{name.partition('.')[0]}." for name in given})[:MAX_NAMED]
        shown = ", ".join(shortened(name, 60) for name in begin)
        raise ModelError(f"{refused}: no name begins with {shortened(prefix)!r}; they begin with {shown}")
    return under


def _other_classes(refused: str, rows: Mapping[str, int], classes: int) -> OtherClassesError:
    found = next(iter(rows.values()))
    names = ", ".join(shortened(name, 60) for name in list(rows)[:MAX_NAMED])
    return OtherClassesError(
        f"{refused}: they are of {found} classes, and here are {classes} ({names}). With --new-head the last "
        "layer is made new from the seed, and the network trained from these weights on",
        found,
    )


def _by_first_names(
    wanted: Wanted, tensors: Mapping[str, Tensor], fresh: Collection[str], refused: str
) -> dict[str, Tensor]:
    fitted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        first = wanted.firsts.get(name)
        if first is None or first in fresh:
            continue
        known = fitted.setdefault(first, tensor)
        if known is not tensor and not torch.equal(known, tensor):
            raise ModelError(f"{refused}: {first} and {name} are one tensor in the network, and differ there")
    return fitted

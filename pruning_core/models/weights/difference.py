"""In what the tensors of a file differ from those of a network: by name and by shape.

Wrappers put names before those of the network's own (`module.`, `_orig_mod.`): they are taken off.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

_WRAPPED, _COMPILED = "module", "_orig_mod"
"""What `DataParallel` and averages, and what `torch.compile`, put before names."""

_EXTRAS = ("n_averaged", "total_ops", "total_params", "_extra_state")
"""Last names of what averages and counters of operations keep beside the weights."""

_COUNTER = "num_batches_tracked"
"""Of batch norms; files of old versions of torch have none, and it begins at zero."""


class Wanted:
    """The tensors that a network needs, by name."""

    def __init__(self, network: nn.Module) -> None:
        """Look at a network; it stays as it is."""
        state = network.state_dict(keep_vars=True)  # a tied weight stands under each of its names
        self.tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
        firsts: dict[int, str] = {}
        self.firsts = {name: firsts.setdefault(id(tensor), name) for name, tensor in self.tensors.items()}
        buffers = network.named_buffers(remove_duplicate=False)
        self.computed = {name: buffer for name, buffer in buffers if name not in state}
        """Buffers that are no part of a state dict: they are made when the network is built."""

    def missing_of(self, names: Mapping[str, object]) -> list[str]:
        """Return the first names of tensors that stand under none of some names."""
        there = {self.firsts[name] for name in names if name in self.firsts}
        absent = dict.fromkeys(first for first in self.firsts.values() if first not in there)
        return [name for name in absent if name.rpartition(".")[2] != _COUNTER]


@dataclass(frozen=True)
class Difference:
    """In what the tensors of a file are not those of a network, by the network's names."""

    missing: list[str]
    unexpected: list[str]
    shapes: list[str]

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.missing or self.unexpected or self.shapes)

    @classmethod
    def of(cls, wanted: Wanted, given: Mapping[str, Tensor]) -> Self:
        """Compare names and shapes."""
        known = {name: tensor for name, tensor in given.items() if name in wanted.tensors}
        shapes = [name for name, tensor in known.items() if tensor.shape != wanted.tensors[name].shape]
        unexpected = [name for name in given if name not in known and not _is_extra(name, given, wanted)]
        return cls(wanted.missing_of(known), unexpected, shapes)

    def without(self, names: Collection[str]) -> "Difference":
        """Return what is left if some tensors of the network need not be there."""
        missing, shapes = ([n for n in found if n not in names] for found in (self.missing, self.shapes))
        return Difference(missing, self.unexpected, shapes)


def with_own_names(wanted: Wanted, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without the names of wrappers, as far as that makes more of them the network's."""
    best: dict[str, Tensor] = dict(given)
    for take_off in (0, 1, 2, None):
        names = {name: _taken_off(name, take_off) for name in given}
        if len(set(names.values())) == len(names):
            renamed = {names[name]: tensor for name, tensor in given.items()}
            if len(wanted.tensors.keys() & renamed) > len(wanted.tensors.keys() & best):
                best = renamed
    return best


def _taken_off(name: str, leading: int | None) -> str:
    """Return a name without `_orig_mod`, and without the first so many `module`; None: without any."""
    parts = [part for part in name.split(".") if part != _COMPILED]
    if leading is None:
        parts = [part for part in parts if part != _WRAPPED]
    for _ in range(leading or 0):
        parts = parts[1:] if parts[:1] == [_WRAPPED] else parts
    return ".".join(parts)


def _is_extra(name: str, given: Mapping[str, Tensor], wanted: Wanted) -> bool:
    """Tell whether a tensor of a file is none that a network computes with, or is made when it is built."""
    computed = wanted.computed.get(name)
    if computed is not None:
        return computed.shape == given[name].shape and bool((computed == given[name]).all())
    return name.rpartition(".")[2] in _EXTRAS


def rows_of(
    names: Collection[str], wanted: Wanted, given: Mapping[str, Tensor], classes: int
) -> dict[str, int]:
    """Return the tensors that differ in nothing but that they have rows for other classes, and how many."""
    rows = {
        name: given[name].shape[0]
        for name in names
        if given[name].dim() and given[name].shape[1:] == wanted.tensors[name].shape[1:]
        if wanted.tensors[name].shape[:1] == (classes,)
    }
    return rows if len(set(rows.values())) == 1 else {}

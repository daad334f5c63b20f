"""Multiply-adds of one network, counted in more than one way, and when two counts may be compared.

`macs` is what runs. Where torch-pruning says otherwise, both are shown (`pruning/cost/README.md`).
Versions that stored no `macs_products` stored torch-pruning's count as `macs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN_BEYOND = 0.01
"""Relative difference from which torch-pruning's count is shown beside ours."""


@dataclass(frozen=True)
class MacCounts:
    """What was counted of one network, for one image."""

    macs: int
    products: int | None  # of these, in convolutions and matrix products; None: of an earlier version
    by_torch_pruning: int | None  # None: its counter fails, or of an earlier version

    @property
    def differ(self) -> bool:
        """Whether torch-pruning's count is another one, so that both must be shown."""
        other = self.by_torch_pruning
        return other is not None and abs(other - self.macs) > SHOWN_BEYOND * max(other, self.macs)


def counts_of(record: Mapping[str, Any]) -> MacCounts:
    """Return the counts in a record that has `macs`."""
    return MacCounts(record["macs"], record.get("macs_products"), record.get("macs_torch_pruning"))


def counted_alike(first: MacCounts, second: MacCounts) -> tuple[int, int]:
    """Return the MACs of two networks, counted in the same way.

    Where an earlier version counted one of them, torch-pruning's counts of both: it has no other.
    """
    if (first.products is None) == (second.products is None):
        return first.macs, second.macs
    return _by_torch_pruning(first), _by_torch_pruning(second)


def _by_torch_pruning(counts: MacCounts) -> int:
    return counts.macs if counts.by_torch_pruning is None else counts.by_torch_pruning

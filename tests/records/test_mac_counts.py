"""Multiply-adds counted in two ways: when both must be shown, and which may be compared."""

import pytest

from pruning_core.records.mac_counts import MacCounts, counted_alike, counts_of


@pytest.mark.parametrize(
    ("macs", "by_torch_pruning", "differ"),
    [
        (1000, 1000, False),
        (1000, 995, False),
        (1000, 1005, False),
        (1000, 980, True),
        (980, 1000, True),
        (1000, 0, True),
        (0, 0, False),
        (1000, None, False),
    ],
)
def test_both_are_shown_from_a_hundredth_on(macs: int, by_torch_pruning: int | None, differ: bool) -> None:
    """A habit of counting a norm is not shown; a layer that one of them misses is."""
    assert MacCounts(macs, macs, by_torch_pruning).differ == differ


def test_an_earlier_versions_count_is_compared_with_its_own_kind() -> None:
    """What an earlier version stored is torch-pruning's count: the other network is given by that, too."""
    dense = counts_of({"macs": 20})
    pruned = counts_of({"macs": 500, "macs_products": 490, "macs_torch_pruning": 10})
    assert counted_alike(dense, pruned) == (20, 10)
    assert counted_alike(pruned, dense) == (10, 20)
    new_dense = counts_of({"macs": 1000, "macs_products": 990, "macs_torch_pruning": 20})
    assert counted_alike(new_dense, pruned) == (1000, 500)
    assert counted_alike(dense, counts_of({"macs": 5})) == (20, 5)


def test_where_torch_pruning_cannot_count_ours_stands() -> None:
    """There is no other number to compare an earlier one with."""
    unreadable = counts_of({"macs": 500, "macs_products": 490})
    assert counted_alike(counts_of({"macs": 20}), unreadable) == (20, 500)

"""Whether the cores of the machine handed work over alike in two runs.

A virtual machine may have its cores side by side in one run and apart in the next: small networks on several
threads then take twice the time, large ones little more, and speed-ups of one commit differ by as much
(`system/fork_join.py`). Rounds agree on that, and so do a cell's fastest calls; more of them would not tell.
"""

from collections.abc import Iterable
from statistics import median

from pruning_core.records.fields import FORK_JOIN_SAME_WITHIN, Record

HANDOVER = "fork_join_us"


def state_difference(baseline: Iterable[Record], new: Iterable[Record]) -> str:
    """Say that the cores handed work over otherwise in the new run; empty when they did not.

    Faster ones matter as well: a reference that gains by it makes others look slower.

    Args:
        baseline: Records of the run before; where none says, nothing is said.
        new: Likewise of the run now.
    """
    before_us, now_us = _typical_us(baseline), _typical_us(new)
    if not before_us or not now_us:
        return ""
    slow, fast = max(before_us, now_us), min(before_us, now_us)
    if slow <= FORK_JOIN_SAME_WITHIN * fast:
        return ""
    word = "slowly" if now_us == slow else "fast"
    return (
        f"the cores of this machine handed work over {slow / fast:.1f} times as {word} "
        f"({before_us:.1f} → {now_us:.1f} µs)"
    )


def alike(records: Iterable[Record]) -> list[Record]:
    """Return those records, of one cell, in which the cores handed work over about as fast as in the best.

    Args:
        records: Of several runs; one that does not say how fast is among those returned.
    """
    records = list(records)
    best_us = min((record[HANDOVER] for record in records if HANDOVER in record), default=0.0)
    return [record for record in records if record.get(HANDOVER, best_us) <= FORK_JOIN_SAME_WITHIN * best_us]


def _typical_us(records: Iterable[Record]) -> float:
    """Return the median over those records that say; 0 if none does."""
    found = [float(record[HANDOVER]) for record in records if HANDOVER in record]
    return median(found) if found else 0.0

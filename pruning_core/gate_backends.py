"""A backend as a whole: how all of its cells changed, beside the same cells on eager fp32.

What slows a backend down (another release, a lost flag) slows all of its cells. One of them alone may be too
noisy to tell, and where it is measured against dense on the same backend it cannot show such a change at all.
So here the cells are the sample. How a cell changed between two runs is taken at the 5th percentile of its
single calls, which neighbours on a shared machine hardly touch. Between three runs of one commit on 2 shared
cores of an Intel Xeon ten cells together moved by 0.8 % against ten on eager (root mean square), their
medians by 5 %.

Not for: single cells (`gate_parts.py`), or a slow-down that eager fp32 shares (`gate_ceiling.py`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from pruning_core import gate_statistics as statistics
from pruning_core.gate_part import FASTEST, Part
from pruning_core.gate_policy import Policy
from pruning_core.gate_result import Identity
from pruning_core.records import Record
from pruning_core.run_files import Run

SUITE = "backend"
"""Stands for a suite in the identity of a backend."""

LEAST_CELLS = 6
"""On either side. Six and six have 924 orders: enough for a test among nine others, five and five for two."""

MOST_CELLS = 400
"""On either side: evenly spaced ones of more, since their differences are taken in pairs."""

_SAME_NETWORK = ("model", "dataset", "method", "ratio", "schedule", "scope", "round_to", "seed", "batch_size")


@dataclass(frozen=True)
class _Group:
    """A backend's cells that eager fp32 has too: how each changed, as ln(now ÷ before)."""

    changes: list[float]
    on_eager: list[float]


def judge_backends(
    parts: Mapping[Identity, Sequence[Part]],
    before: Mapping[Identity, list[Record]],
    now: Mapping[Identity, list[Record]],
    policy: Policy,
) -> Iterator[tuple[Identity, Part]]:
    """Compare each backend and precision of a device, as a whole, with eager fp32 there.

    Args:
        parts: What is said of each cell: those whose speeds could be compared are the sample.
        before: Records of the baseline.
        now: Records of the new run.
        policy: What is tolerated: `slowdown`, for the "cell" `backend/NAME-PRECISION-DEVICE` too.

    Returns:
        Pairs of identity and part, without a verdict yet. Backends of which too few cells can be compared, or
        too few on eager, are left out: their cells are judged one by one all the same.
    """
    timed = (identity for identity, items in parts.items() if any(map(_tells_a_speed, items)))
    pairs = ((before[identity][0], now[identity][0]) for identity in timed)
    for name, group in _groups(pairs).items():
        if len(group.changes) >= LEAST_CELLS:
            identity = (SUITE, name)
            tolerance = policy.tolerances_of(*identity).slowdown
            yield identity, _judge(group, name, tolerance, policy.confidence)


def notes_on_backends(baseline: Run, new: Run) -> Iterator[str]:
    """Say where a run has times but not those that backends are judged by."""
    for which, run in (("the baseline", baseline), ("this run", new)):
        times = [record for record in run.records if record["suite"] == "latency"]
        if times and not any(FASTEST in record for record in times):
            yield f"{which} has no {FASTEST}: no backend could be judged as a whole"


def _tells_a_speed(part: Part) -> bool:
    return part.metric == "control" or (part.metric == "speed" and part.p_value is not None)


def _groups(pairs: Iterable[tuple[Record, Record]]) -> dict[str, _Group]:
    """Group changes by backend, precision and device; only networks that eager fp32 ran as well."""
    changes: dict[tuple[str, str, str], dict[tuple[object, ...], float]] = {}
    for baseline, new in pairs:
        if FASTEST in baseline and FASTEST in new:
            where = (new["backend"], new["precision"], new["device"])
            network = (new.get("threads"), *(new.get(name) for name in _SAME_NETWORK))
            changes.setdefault(where, {})[network] = math.log(new[FASTEST] / baseline[FASTEST])
    groups = {}
    for where, of_backend in changes.items():
        backend, precision, device = where
        of_eager = changes.get(("eager", "fp32", device), {})
        both = [network for network in of_backend if network in of_eager]
        both = both[:: max(1, math.ceil(len(both) / MOST_CELLS))]
        if (backend, precision) != ("eager", "fp32"):
            name = f"{backend}-{precision}-{device.replace(':', '')}"
            groups[name] = _Group([of_backend[n] for n in both], [of_eager[n] for n in both])
    return groups


def _judge(group: _Group, name: str, tolerance: float, confidence: float) -> Part:
    margin, cells = math.log1p(tolerance), len(group.changes)
    shift, low, high = statistics.shift_bounds(group.on_eager, group.changes, confidence)
    slower, slower_low, slower_high = math.expm1(shift), math.expm1(low), math.expm1(high)
    word, size, least, most = ("slower", slower, slower_low, slower_high)
    if shift < 0:
        word, size, least, most = ("faster", -slower, -slower_high, -slower_low)
    reason = (
        f"{cells} cells on {name} together {size:.1%} {word} [{least:.1%}, {most:.1%}], relative to the same "
        f"on eager fp32, at the 5th percentile of calls, tolerance {tolerance:.1%}"
    )
    spread = math.sqrt((stdev(group.changes) ** 2 + stdev(group.on_eager) ** 2) / 2)
    return Part(
        SUITE,
        "",
        reason,
        change=slower,
        change_low=slower_low,
        change_high=slower_high if math.isfinite(slower_high) else None,
        p_value=statistics.p_shift_above(group.on_eager, group.changes, margin),
        within=high <= margin,
        detectable=(spread, cells, cells),
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
    )

"""A backend as a whole: how all of its cells changed, beside the same networks on eager fp32 and elsewhere.

What slows a backend down (another release, a lost flag) slows all of its cells. One of them alone may be too
noisy to tell, and where it is measured against dense on the same backend it cannot show such a change at all.
So here the cells are the sample. How a cell changed between two runs is taken at the 5th percentile of its
single calls, which neighbours on a shared machine hardly touch. Between three runs of one commit on 2 shared
cores of an Intel Xeon ten cells together moved by 0.8 % against ten on eager (root mean square), their
medians by 5 %.

What stands for the machine is eager fp32, and with it every backend that moved as eager did: one backend has
moods of its own, and twice as many cells tell more. A backend that moved otherwise, for better or worse, says
nothing about the others.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import stdev

from pruning_core.gate.finding import P05_FIELD, Finding
from pruning_core.gate.fork_join import state_difference
from pruning_core.gate.policy import Policy
from pruning_core.gate.result import CellKey
from pruning_core.records.fields import Record
from pruning_core.records.run import Run
from pruning_core.stats import rank_sum as statistics

SUITE = "backend"
"""Stands for a suite in the identity of a backend."""

MIN_CELLS = 6
"""On either side. Six and six have 924 orders: enough for a test among nine others, five and five for two."""

MOST_CELLS = 400
"""On either side: evenly spaced ones of more, since their differences are taken in pairs."""

_SAME_NETWORK = ("model", "dataset", "method", "ratio", "schedule", "scope", "round_to", "seed", "batch_size")

_Where = tuple[str, str, str]
"""Backend, precision, device."""

_Network = tuple[object, ...]
"""What is run, with batch size and threads."""

_Changes = dict[_Network, float]
"""How the time of each changed, as ln(now ÷ before)."""


def backend_findings(
    parts: Mapping[CellKey, Sequence[Finding]],
    before: Mapping[CellKey, list[Record]],
    now: Mapping[CellKey, list[Record]],
    policy: Policy,
) -> Iterator[tuple[CellKey, Finding]]:
    """Compare each backend and precision of a device, as a whole, with eager fp32 and what moved with it.

    Args:
        parts: What is said of each cell: those whose speeds could be compared are the sample.
        before: Records of the baseline.
        now: Records of the new run.
        policy: What is tolerated: `slowdown`, for the "cell" `backend/NAME-PRECISION-DEVICE` too.

    Returns:
        Pairs of identity and part, without a verdict yet. Backends of which too few cells can be compared, or
        too few on eager, are left out: their cells are judged one by one all the same.
    """
    timed = [identity for identity, items in parts.items() if any(map(_tells_a_speed, items))]
    pairs = [(before[identity][0], now[identity][0]) for identity in timed]
    changes = _changes(pairs)
    for where, of_backend in changes.items():
        backend, precision, device = where
        of_eager = changes.get(("eager", "fp32", device), {})
        networks = [network for network in of_backend if network in of_eager]
        if of_backend is not of_eager and len(networks) >= MIN_CELLS:
            identity = (SUITE, f"{backend}-{precision}-{device.replace(':', '')}")
            tolerance = policy.tolerances_of(*identity).slowdown
            own = _thinned([of_backend[network] for network in networks])
            beside = _comparable_backends(changes, where, networks, tolerance)
            of_device = [pair for pair in pairs if pair[1]["device"] == device]
            doubt = state_difference(*zip(*of_device, strict=True))
            yield identity, _judge(own, beside, identity[1], tolerance, policy.confidence, doubt)


def notes_on_backends(baseline: Run, new: Run) -> Iterator[str]:
    """Say where a run has times but not those that backends are judged by."""
    for which, run in (("the baseline", baseline), ("this run", new)):
        times = [record for record in run.records if record["suite"] == "latency"]
        if times and not any(P05_FIELD in record for record in times):
            yield f"{which} has no {P05_FIELD}: no backend could be judged as a whole"


def _tells_a_speed(part: Finding) -> bool:
    return part.metric == "control" or (part.metric == "speed" and part.p_value is not None)


def _changes(pairs: Iterable[tuple[Record, Record]]) -> dict[_Where, _Changes]:
    """Return how each network changed, by backend, precision and device."""
    changes: dict[_Where, _Changes] = {}
    for baseline, new in pairs:
        if P05_FIELD in baseline and P05_FIELD in new:
            where = (new["backend"], new["precision"], new["device"])
            network: _Network = (new.get("threads"), *(new.get(name) for name in _SAME_NETWORK))
            changes.setdefault(where, {})[network] = math.log(new[P05_FIELD] / baseline[P05_FIELD])
    return changes


def _comparable_backends(
    changes: Mapping[_Where, _Changes], judged: _Where, networks: Sequence[_Network], tolerance: float
) -> dict[str, list[float]]:
    """Return how these networks changed on eager fp32, and on each other backend that moved as eager did.

    As eager did: by what is tolerated, either way, or less.
    """
    device = judged[2]
    of_eager = changes["eager", "fp32", device]
    beside = {"eager-fp32": [of_eager[network] for network in networks]}
    for where, of_other in changes.items():
        shared = [network for network in networks if network in of_other]
        if where != judged and of_other is not of_eager and where[2] == device and shared:
            on_eager = _thinned([of_eager[network] for network in shared])
            moved = _thinned([of_other[network] for network in shared])
            if abs(statistics.shift_bounds(on_eager, moved, 0.95)[0]) <= math.log1p(tolerance):
                beside[f"{where[0]}-{where[1]}"] = moved
    return beside


def _thinned(values: list[float]) -> list[float]:
    return values[:: max(1, math.ceil(len(values) / MOST_CELLS))]


def _judge(
    changes: list[float],
    beside: Mapping[str, list[float]],
    name: str,
    tolerance: float,
    confidence: float,
    doubt: str,
) -> Finding:
    margin, cells = math.log1p(tolerance), len(changes)
    others = _thinned([change for of_other in beside.values() for change in of_other])
    shift, low, high = statistics.shift_bounds(others, changes, confidence)
    slower, slower_low, slower_high = math.expm1(shift), math.expm1(low), math.expm1(high)
    word, size, least, most = ("slower", slower, slower_low, slower_high)
    if shift < 0:
        word, size, least, most = ("faster", -slower, -slower_high, -slower_low)
    reason = (
        f"{cells} cells on {name} together {size:.1%} {word} [{least:.1%}, {most:.1%}], relative to the same "
        f"on {', '.join(beside)}, at the 5th percentile of calls, tolerance {tolerance:.1%}"
    )
    spread = math.sqrt((stdev(changes) ** 2 + stdev(others) ** 2) / 2)
    return Finding(
        SUITE,
        "",
        reason,
        change=slower,
        change_low=slower_low,
        change_high=slower_high if math.isfinite(slower_high) else None,
        p_value=statistics.p_shift_above(others, changes, margin),
        within=high <= margin,
        detectable=(spread, len(others), cells),
        doubt=doubt,
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
    )

"""A backend as a whole: how all of its cells changed, compared with the same networks on other backends.

What slows a backend down (another release, a lost flag) slows all of its cells. One of them alone may be too
noisy to tell, and where it is measured against dense on the same backend it cannot show such a change at all.
So here the cells are the sample. How a cell changed between two runs is taken at the 5th percentile of its
single calls, which other processes hardly touch.

The controls are eager fp32, and every backend that changed like eager did, within the tolerance: more cells
tell more. A backend that changed in another way says nothing about the others. Evidence: `gate/README.md`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import stdev

from pruning_core.gate.comparability import state_difference
from pruning_core.gate.finding import P05_FIELD, Bounds, Evidence, Finding, Noise, NoisyFinding
from pruning_core.gate.policy import Policy
from pruning_core.gate.result import CellKey
from pruning_core.records.fields import Record
from pruning_core.records.run import Run
from pruning_core.stats.rank_sum import p_shift_above, shift_bounds

BACKEND_SUITE = "backend"
"""Stands for a suite in the key of a backend as a whole."""

MAX_CELLS = 400
"""On either side: evenly spaced ones of more, since their differences are taken in pairs."""

_SAME_NETWORK = (
    *("model", "dataset", "method", "ratio", "schedule", "scope", "round_to", "protect", "ratio_of", "seed"),
    *("max_ratio", "optimize_for", "batch_size", "score_name"),
)

_Target = tuple[str, str, str]
"""Backend, precision, device."""

_Network = tuple[object, ...]
"""What is run, with batch size and threads."""

_Changes = dict[_Network, float]
"""How the time of each changed, as ln(now ÷ before)."""


def backend_findings(
    findings: Mapping[CellKey, Sequence[Finding | NoisyFinding]],
    before: Mapping[CellKey, list[Record]],
    now: Mapping[CellKey, list[Record]],
    policy: Policy,
) -> Iterator[tuple[CellKey, NoisyFinding]]:
    """Compare each backend and precision of a device, as a whole, with its controls.

    Args:
        findings: What is said of each cell: those whose speeds could be compared are the sample.
        before: Records of the baseline.
        now: Records of the new run.
        policy: What is tolerated: `slowdown`, for the "cell" `backend/NAME-PRECISION-DEVICE` too.

    Returns:
        Pairs of key and finding. Backends of which fewer than `min_cells` can be compared are left out: their
        cells are judged one by one all the same.
    """
    timed = [cell for cell, items in findings.items() if any(map(_is_compared_speed, items))]
    pairs = [(before[cell][0], now[cell][0]) for cell in timed]
    changes = _changes(pairs)
    for target, of_backend in changes.items():
        backend, precision, device = target
        of_eager = changes.get(("eager", "fp32", device), {})
        networks = [network for network in of_backend if network in of_eager]
        if of_backend is not of_eager and len(networks) >= policy.min_cells:
            key = (BACKEND_SUITE, f"{backend}-{precision}-{device.replace(':', '')}")
            tolerance = policy.tolerances_of(*key).slowdown
            own = _subsample([of_backend[network] for network in networks])
            controls = _comparable_backends(changes, target, networks, tolerance)
            of_device = [pair for pair in pairs if pair[1]["device"] == device]
            was, is_now = zip(*of_device, strict=True)
            difference = state_difference(was, is_now, policy.fork_join_same_within)
            yield key, _finding(own, controls, key[1], tolerance, policy.confidence, difference)


def notes_on_backends(baseline: Run, new: Run) -> Iterator[str]:
    """Say where a run has times but not those that backends are judged by."""
    for which, run in (("the baseline", baseline), ("this run", new)):
        times = [record for record in run.records if record["suite"] == "latency"]
        if times and not any(P05_FIELD in record for record in times):
            yield f"{which} has no {P05_FIELD}: no backend could be judged as a whole"


def _is_compared_speed(finding: Finding | NoisyFinding) -> bool:
    return finding.metric == "control" or (finding.metric == "speed" and isinstance(finding, NoisyFinding))


def _changes(pairs: Iterable[tuple[Record, Record]]) -> dict[_Target, _Changes]:
    """Return how each network changed, by backend, precision and device."""
    changes: dict[_Target, _Changes] = {}
    for baseline, new in pairs:
        if P05_FIELD in baseline and P05_FIELD in new:
            target = (new["backend"], new["precision"], new["device"])
            network: _Network = (new.get("threads"), *(new.get(name) for name in _SAME_NETWORK))
            changes.setdefault(target, {})[network] = math.log(new[P05_FIELD] / baseline[P05_FIELD])
    return changes


def _comparable_backends(
    changes: Mapping[_Target, _Changes], judged: _Target, networks: Sequence[_Network], tolerance: float
) -> dict[str, list[float]]:
    """Return how these networks changed on eager fp32, and on each other backend that changed like eager.

    Like eager: by what is tolerated, either way, or less.
    """
    device = judged[2]
    of_eager = changes["eager", "fp32", device]
    controls = {"eager-fp32": [of_eager[network] for network in networks]}
    for target, of_other in changes.items():
        shared = [network for network in networks if network in of_other]
        if target != judged and of_other is not of_eager and target[2] == device and shared:
            on_eager = _subsample([of_eager[network] for network in shared])
            on_other = _subsample([of_other[network] for network in shared])
            if abs(shift_bounds(on_eager, on_other, 0.95)[0]) <= math.log1p(tolerance):
                controls[f"{target[0]}-{target[1]}"] = on_other
    return controls


def _subsample(values: list[float]) -> list[float]:
    return values[:: max(1, math.ceil(len(values) / MAX_CELLS))]


def _finding(
    changes: list[float],
    controls: Mapping[str, list[float]],
    name: str,
    tolerance: float,
    confidence: float,
    difference: str | None,
) -> NoisyFinding:
    margin, cells = math.log1p(tolerance), len(changes)
    others = _subsample([change for of_other in controls.values() for change in of_other])
    shift, low, high = shift_bounds(others, changes, confidence)
    change = Bounds(math.expm1(shift), math.expm1(low), math.expm1(high))
    word, size = change.in_words("slower", "faster")
    return NoisyFinding(
        metric=BACKEND_SUITE,
        reason=(
            f"{cells} cells on {name} together {size.value:.1%} {word} [{size.low:.1%}, {size.high:.1%}], "
            f"relative to the same on {', '.join(controls)}, at the 5th percentile of calls, "
            f"tolerance {tolerance:.1%}"
        ),
        change=change,
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
        evidence=Evidence(
            p_value=p_shift_above(others, changes, margin),
            within_tolerance=high <= margin,
            counter_evidence=difference,
            noise=Noise(math.sqrt((stdev(changes) ** 2 + stdev(others) ** 2) / 2), len(others), cells),
        ),
    )

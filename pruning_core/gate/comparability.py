"""Whether the times of two runs can be compared and trusted: machines, A/A controls, fork–join state.

The fork–join state is the one covariate of a time that the gate looks at (`fork_join_us`,
`system/fork_join.py`). On a virtual machine it may differ between runs: small networks on several threads
then take another time, large ones hardly, and speed-ups of one commit differ. All rounds agree on that, so
more of them would not tell. Evidence: `gate/README.md`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pruning_core.gate.policy import Policy
from pruning_core.records.fields import Record
from pruning_core.records.run import Run
from pruning_core.stats.intervals import control_problem

_NOT_DECISIVE = {"fingerprint", "name", "memory_bytes", "os", "load_1m"}
"""Facts of a machine that its fingerprint leaves out, because they say nothing about speed."""

SOFTWARE = {"python", "torch", "torchvision", "torch_pruning", "onnxruntime", "openvino"}
"""Facts that the change under test may itself have changed: another release of a runtime is what a gate is
asked about. They are in the fingerprint; where nothing else differs times are compared, and these named."""

FORK_JOIN_FIELD = "fork_join_us"


@dataclass(frozen=True)
class Comparability:
    """What holds for the two runs as wholes."""

    policy: Policy
    machine_difference: str | None  # in words; None when the machines are the same
    untrusted_baseline: Mapping[str, str]  # device → why its A/A control says that times cannot be trusted
    untrusted_new: Mapping[str, str]

    def state_difference(self, baseline: Iterable[Record], new: Iterable[Record]) -> str | None:
        """Return how the fork–join state of some records differs (see `state_difference`)."""
        return state_difference(baseline, new, self.policy.fork_join_same_within)


def assess_comparability(baseline: Run, new: Run, policy: Policy) -> Comparability:
    """Find out whether the times of two runs can be compared and trusted."""
    return Comparability(
        policy=policy,
        machine_difference=_machine_difference(baseline.machine, new.machine),
        untrusted_baseline=untrusted_devices(baseline, policy.control_tolerance),
        untrusted_new=untrusted_devices(new, policy.control_tolerance),
    )


def untrusted_devices(run: Run, tolerance: float) -> dict[str, str]:
    """Find the devices whose A/A control says that times are not to be trusted, and why."""
    untrusted: dict[str, str] = {}
    worst: dict[str, float] = {}
    for record in run.records:
        if record["suite"] != "latency" or not record.get("is_control"):
            continue
        low, high = record.get("speedup_low"), record.get("speedup_high")
        interval, distance = "A/A control without an interval", math.inf
        problem: str | None = interval
        if low is not None and high is not None:
            interval = f"A/A control {low:.3f} to {high:.3f}"
            reason = control_problem(low, high, tolerance)
            problem = f"{interval}, {reason}" if reason else None
            distance = max(abs(math.log(low)), abs(math.log(high)))
        device = str(record.get("device"))
        if not (problem or record.get("contaminated")) or distance < worst.get(device, 0.0):
            continue
        worst[device] = distance
        if record.get("contaminated"):
            contention = record.get("contention")
            untrusted[device] = (
                f"contaminated ({contention})" if contention else f"marked as contaminated ({interval})"
            )
        else:
            untrusted[device] = f"contaminated ({problem})"
    return untrusted


def state_difference(baseline: Iterable[Record], new: Iterable[Record], same_within: float) -> str | None:
    """Return how the fork–join state of the machine differs between some records of two runs.

    Faster ones matter as well: a reference that gains by it makes others look slower.

    Args:
        baseline: Records of the run before.
        new: Likewise of the run now.
        same_within: Latencies less than this factor apart are of one state.

    Returns:
        The difference in words; None where there is none, or where one side does not say.
    """
    before_us, now_us = _typical_us(baseline), _typical_us(new)
    if before_us is None or now_us is None:
        return None
    slow, fast = max(before_us, now_us), min(before_us, now_us)
    if slow <= same_within * fast:
        return None
    word = "rose" if now_us == slow else "fell"
    return (
        f"the fork–join latency {word} by a factor of {slow / fast:.1f} ({before_us:.1f} → {now_us:.1f} µs)"
    )


def in_best_state(records: Iterable[Record], same_within: float) -> list[Record]:
    """Return those records, of one cell, that were measured in about the fastest fork–join state of them.

    Args:
        records: Of several runs; one that does not say is among those returned.
        same_within: Latencies less than this factor apart are of one state.
    """
    records = list(records)
    best_us = min((record[FORK_JOIN_FIELD] for record in records if FORK_JOIN_FIELD in record), default=0.0)
    return [record for record in records if record.get(FORK_JOIN_FIELD, best_us) <= same_within * best_us]


def differing_facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Walk over the facts of two machines that differ: each one's key, and what it was and is in words."""
    a, b = _flat(before), _flat(now)
    for key in [*a, *(key for key in b if key not in a)]:
        if a.get(key) != b.get(key) and key not in _NOT_DECISIVE:
            name = "torch_threads" if key == "threads" else key
            yield key, f"{name} differs: baseline {a.get(key, 'none')}, this run {b.get(key, 'none')}"


def _typical_us(records: Iterable[Record]) -> float | None:
    """Return the median over those records that say; None if none does."""
    found = [float(record[FORK_JOIN_FIELD]) for record in records if FORK_JOIN_FIELD in record]
    return (median(found) or None) if found else None


def _machine_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for which, machine in (("the baseline", before), ("this run", now)):
        if not machine.get("fingerprint"):
            return f"{which} does not say on which machine it ran"
    if before["fingerprint"] == now["fingerprint"]:
        return None
    differing = dict(differing_facts(before, now))
    if differing and differing.keys() <= SOFTWARE:
        return None
    words = list(differing.values())
    remedy = "Measure the baseline again on this machine"
    if list(differing) == ["threads"]:
        remedy = f"Measure the baseline again, or set --threads {before.get('threads')}"
    more = f"; and {len(words) - 3} more" if len(words) > 3 else ""
    return f"{'; '.join(words[:3]) or 'the fingerprint of the machine differs'}{more}. {remedy}"


def _flat(machine: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in machine.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None and value != "":
            flat[f"{prefix}{key}"] = str(value)[:60]
    return flat

"""What holds for two runs as wholes: whether their machines are alike, whether their times can be trusted."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruning_core.gate.dense_roofline import NEEDED
from pruning_core.gate.fork_join import state_difference
from pruning_core.gate.policy import Policy
from pruning_core.records.run import Run
from pruning_core.stats.intervals import control_problem

_NOT_DECISIVE = {"fingerprint", "name", "memory_bytes", "os", "load_1m"}
"""Facts of a machine that its fingerprint leaves out, because they say nothing about speed."""

SOFTWARE = {"python", "torch", "torchvision", "torch_pruning", "onnxruntime", "openvino"}
"""Facts that the change under test may itself have changed: another release of a runtime is what a gate is
asked about. They are in the fingerprint; where nothing else differs times are compared, and these named."""


@dataclass(frozen=True)
class Comparability:
    """What holds for the two runs as wholes."""

    policy: Policy
    machine_difference: str  # in words; empty when the machines are alike
    spoiled_baseline: Mapping[str, str]  # device → why its A/A control says that times cannot be trusted
    spoiled_new: Mapping[str, str]


def find_circumstances(baseline: Run, new: Run, policy: Policy) -> Comparability:
    """Find out whether the times of two runs can be compared and trusted."""
    difference = _machine_difference(baseline.machine, new.machine)
    return Comparability(
        policy=policy,
        machine_difference=difference,
        spoiled_baseline=spoiled_devices(baseline, policy.control_tolerance),
        spoiled_new=spoiled_devices(new, policy.control_tolerance),
    )


def notes_on(
    baseline: Run, new: Run, policy: Policy, around: Comparability, identities: list[tuple[str, str]]
) -> Iterator[str]:
    """Say what a reader of the verdicts should know about the two runs as wholes, a line each.

    Args:
        baseline: The run before.
        new: The run now.
        policy: What is tolerated.
        around: What `find_circumstances` found.
        identities: Suite and id of every cell of either run.
    """
    yield from (f"of the baseline, {remark}" for remark in baseline.remarks)
    yield from new.remarks
    has_times = any(record["suite"] == "latency" for record in new.records)
    if around.machine_difference:
        yield f"times were not compared, the rest was: {around.machine_difference}"
        if policy.on_other_machine != "skip":
            yield 'to gate the rest only, set on_other_machine = "skip" in the policy'
    elif has_times:
        yield from dict(_differing_facts(baseline.machine, new.machine)).values()
    if has_times:
        yield _on_common_slowdowns(baseline, new, around)
        unlike = "" if around.machine_difference else state_difference(baseline.records, new.records)
        if unlike:
            yield (
                f"{unlike} as in the baseline: small networks gain or lose by that, and a regression may "
                "hide. Measure the run with the slower ones again"
            )
        if not any(record.get("is_control") for record in new.records):
            yield "this run has no A/A control: nothing says whether its times can be trusted"
    remade = _remade_checkpoints(baseline, new)
    if remade:
        yield (
            f"{remade} checkpoints were made anew (their keys differ): "
            "their accuracy also carries the noise of training"
        )
    for pattern in policy.unmatched(identities):
        yield f"the policy's pattern {pattern!r} matches no cell"


def _on_common_slowdowns(baseline: Run, new: Run, around: Comparability) -> str:
    text = "a slow-down that hits dense and pruned models alike does not show in speed-ups: "
    if around.machine_difference:
        return text + "between unlike machines this gate cannot see it"
    for which, run in (("the baseline", baseline), ("this run", new)):
        if not any(r.get("is_control") and all(name in r for name in NEEDED) for r in run.records):
            return text + f"{which} has no ceiling to judge the dense model by, so this gate cannot see it"
    return (
        text + "it is looked for in the dense eager model, against this machine's own ceiling; where it "
        "slows matrix products as well, this gate cannot see it"
    )


def spoiled_devices(run: Run, tolerance: float) -> dict[str, str]:
    """Find the devices whose A/A control says that times are not to be trusted, and why."""
    spoiled: dict[str, str] = {}
    worst: dict[str, float] = {}
    for record in run.records:
        if record["suite"] != "latency" or not record.get("is_control"):
            continue
        low, high = record.get("speedup_low"), record.get("speedup_high")
        interval, distance = "A/A control without an interval", math.inf
        problem = interval
        if low is not None and high is not None:
            interval = f"A/A control {low:.3f} to {high:.3f}"
            reason = control_problem(low, high, tolerance)
            problem = f"{interval}, {reason}" if reason else ""
            distance = max(abs(math.log(low)), abs(math.log(high)))
        device = str(record.get("device"))
        if not (problem or record.get("contaminated")) or distance < worst.get(device, 0.0):
            continue
        worst[device] = distance
        if record.get("contaminated"):
            contention = record.get("contention")
            spoiled[device] = (
                f"contaminated ({contention})" if contention else f"marked as contaminated ({interval})"
            )
        else:
            spoiled[device] = f"contaminated ({problem})"
    return spoiled


def _machine_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for which, machine in (("the baseline", before), ("this run", now)):
        if not machine.get("fingerprint"):
            return f"{which} does not say on which machine it ran"
    if before["fingerprint"] == now["fingerprint"]:
        return ""
    differing = dict(_differing_facts(before, now))
    if differing and differing.keys() <= SOFTWARE:
        return ""
    words = list(differing.values())
    remedy = "Measure the baseline again on this machine"
    if list(differing) == ["threads"]:
        remedy = f"Measure the baseline again, or set --threads {before.get('threads')}"
    more = f"; and {len(words) - 3} more" if len(words) > 3 else ""
    return f"{'; '.join(words[:3]) or 'the fingerprint of the machine differs'}{more}. {remedy}"


def _differing_facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Walk over the facts that differ: each one's key, and what it was and is in words."""
    a, b = _flat(before), _flat(now)
    for key in [*a, *(key for key in b if key not in a)]:
        if a.get(key) != b.get(key) and key not in _NOT_DECISIVE:
            name = "torch_threads" if key == "threads" else key
            yield key, f"{name} differs: baseline {a.get(key, 'none')}, this run {b.get(key, 'none')}"


def _flat(machine: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in machine.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None and value != "":
            flat[f"{prefix}{key}"] = str(value)[:60]
    return flat


def _remade_checkpoints(baseline: Run, new: Run) -> int:
    keys = {(r["suite"], r["cell"]): r.get("key") for r in baseline.records}
    changed = {
        r.get("key")
        for r in new.records
        if (i := (r["suite"], r["cell"])) in keys and keys[i] != r.get("key")
    }
    return len(changed)

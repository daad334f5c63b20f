"""An explanation as plain data: what the JSON file holds, and what terminal and page are made from."""

from collections.abc import Mapping, Sequence
from typing import Any

from pruning_core.explain.advice import Tried
from pruning_core.explain.comparison import Measured
from pruning_core.explain.groups import WidthGroup, width_of
from pruning_core.explain.layers import layers_of
from pruning_core.explain.profile import NetworkProfile
from pruning_core.explain.reasons import FINE, OTHER, LayerFacts, Reason, saved_quotient
from pruning_core.explain.subject import Explained
from pruning_core.shapes.timing import Setting
from pruning_core.system.machine import describe_machine

SCHEMA = 1


def time_by_reason(facts: Mapping[str, LayerFacts], reasons: Mapping[str, Reason]) -> dict[str, float]:
    """Return word → share of the time of all layers that it was said of; the empty word: unexplained."""
    found: dict[str, float] = {}
    for name, reason in reasons.items():
        found[reason.word] = found.get(reason.word, 0.0) + facts[name].time_share
    return found


def content_of(
    explained: Explained,
    setting: Setting,
    groups: Sequence[WidthGroup],
    measured: Measured,
    facts: Mapping[str, LayerFacts],
    reasons: Mapping[str, Reason],
    tried: Tried,
) -> dict[str, Any]:
    """Put an explanation together.

    Args:
        explained: Dense and pruned network.
        setting: In which they were measured.
        groups: Of the network.
        measured: Profiles and counts.
        facts: Layer → what was measured of it.
        reasons: Layer → why it is not faster.
        tried: What was timed in pairs.
    """
    dense, pruned = measured.dense, measured.pruned
    all_macs, all_dense = (
        sum(w.macs for w in work.values()) for work in (measured.work, measured.dense_work)
    )
    layers = {
        name: _layer(name, explained, measured, facts[name], reasons[name], all_dense) for name in facts
    }
    in_groups = [_group(group, layers) for group in groups]
    known = {name for group in groups for name in group.layers}
    alone = [
        _group(WidthGroup(n, (n,), layers[n]["dense"], layers[n]["kept"], 1), layers)
        for n in layers
        if n not in known
    ]
    speedup = tried.speedup
    return {
        "schema": SCHEMA,
        "what": "pruning-bench explain",
        "subject": explained.name,
        "key": explained.key,
        "method": explained.method.name,
        "ratio": explained.ratio,
        "round_to": explained.method.round_to,
        "setting": setting.label,
        "backend": setting.backend,
        "precision": setting.precision,
        "batch_size": setting.batch_size,
        "device": setting.device,
        "threads": setting.threads,
        "machine": describe_machine(setting.threads),
        "dense_ms": dense.whole_ms,
        "pruned_ms": pruned.whole_ms,
        "speedup": None if speedup is None else speedup.value,
        "speedup_low": None if speedup is None else speedup.low,
        "speedup_high": None if speedup is None else speedup.high,
        "macs": all_macs,
        "dense_macs": all_dense,
        "covered": {"dense": dense.covered, "pruned": pruned.covered},
        "gaps": {"dense": dense.gap, "pruned": pruned.gap},
        "rounds": len(pruned.rounds),
        "fixed_us": {"node": 1e3 * measured.fixed.node_ms, "profile": 1e3 * measured.fixed.profile_ms},
        "groups": [*in_groups, *alone],
        "not_layers": _not_layers(dense, pruned),
        "time_by_reason": {**time_by_reason(facts, reasons), OTHER: _other_share(pruned)},
        "advice": [advice.content() for advice in tried.advice],
        "without_gain": list(tried.without_gain),
        "contention": measured.contention or tried.contention,
    }


def _layer(
    name: str,
    explained: Explained,
    measured: Measured,
    facts: LayerFacts,
    reason: Reason,
    all_dense: int,
) -> dict[str, Any]:
    dense, kept = (layers_of(network)[name] for network in (explained.dense, explained.network))
    return {
        "layer": name,
        "kind": type(kept).__name__,
        "dense": width_of(dense),
        "kept": width_of(kept),
        "macs": facts.macs,
        "dense_macs": facts.dense_macs,
        "mac_share": facts.mac_share,
        "dense_mac_share": facts.dense_macs / (all_dense or 1),
        "ms": facts.ms,
        "dense_ms": facts.dense_ms,
        "time_share": facts.time_share,
        "dense_time_share": facts.dense_ms / measured.dense.shared_ms,
        "conversion_ms": facts.conversion_ms,
        "memory_ms": facts.memory_ms,
        "compute_ms": facts.compute_ms,
        "saved_quotient": saved_quotient(facts),
        "reason": reason.word,
        "evidence": reason.evidence,
    }


def _group(group: WidthGroup, layers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    members = [layers[name] for name in group.layers if name in layers]
    total = {
        name: sum(member[name] for member in members)
        for name in ("mac_share", "dense_mac_share", "time_share", "dense_time_share", "ms", "dense_ms")
    }
    macs, dense_macs = (sum(m[name] for m in members) for name in ("macs", "dense_macs"))
    quotient = None
    if total["dense_ms"] > 0 and macs < dense_macs:
        quotient = (1 - total["ms"] / total["dense_ms"]) / (1 - macs / dense_macs)
    not_fine = [member for member in members if member["reason"] != FINE]
    slowest = max(not_fine, key=lambda member: float(member["ms"]), default=None)
    return {
        "root": group.root,
        "dense": group.dense,
        "kept": group.kept,
        "kept_whole": group.whole,
        **total,
        "macs": macs,
        "dense_macs": dense_macs,
        "saved_quotient": quotient,
        "reason": FINE if slowest is None else slowest["reason"],
        "layers": members,
    }


def _not_layers(dense: NetworkProfile, pruned: NetworkProfile) -> list[dict[str, Any]]:
    """Return what is no layer's: norms and activations, conversions, and what no node accounts for."""
    parts = {
        "norms, activations, sums": [sum(p.times("other").values()) for p in (dense, pruned)],
        "conversions of layout and type": [sum(p.times("conversion").values()) for p in (dense, pruned)],
        "framework": [p.framework_ms for p in (dense, pruned)],
    }
    return [
        {
            "what": what,
            "dense_ms": before,
            "ms": after,
            "dense_time_share": before / dense.shared_ms,
            "time_share": after / pruned.shared_ms,
            "reason": OTHER,
        }
        for what, (before, after) in parts.items()
    ]


def _other_share(pruned: NetworkProfile) -> float:
    return 1 - sum(pruned.times("layer").values()) / pruned.shared_ms

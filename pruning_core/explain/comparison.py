"""Layers of two networks compared round by round, and the facts of each layer put together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pruning_core.config.precision import PRECISIONS
from pruning_core.explain.fixed_cost import FixedCost
from pruning_core.explain.groups import WidthGroup
from pruning_core.explain.layers import LayerWork
from pruning_core.explain.profile import NetworkProfile
from pruning_core.explain.reasons import LayerFacts, PairedRatio
from pruning_core.shapes.timing import Setting
from pruning_core.stats.intervals import median_interval
from pruning_core.system.roofline import Roofline

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measured:
    """All that was measured of a network and of its relatives."""

    dense: NetworkProfile
    pruned: NetworkProfile
    wider: Mapping[int, NetworkProfile]  # multiple → all widths rounded up to it
    one_thread: NetworkProfile | None
    dense_work: Mapping[str, LayerWork]
    work: Mapping[str, LayerWork]
    wider_work: Mapping[int, Mapping[str, LayerWork]]
    fixed: FixedCost
    roofline: Roofline | None
    launch_bound: bool = False
    contention: str = ""  # what else ran while it was profiled; empty: nothing


def paired_ratio(other: Sequence[float], now: Sequence[float]) -> PairedRatio | None:
    """Return the median of other ÷ now over rounds, with its interval; None where a time is zero.

    Args:
        other: Milliseconds, one a round.
        now: Likewise, of the same rounds.
    """
    if not other or min(*other, *now) <= 0:
        return None
    logs = [math.log(a / b) for a, b in zip(other, now, strict=True)]
    low, high, _ = median_interval(logs, CONFIDENCE)
    return PairedRatio(*(math.exp(value) for value in (median(logs), low, high)))


def facts_of(measured: Measured, groups: Sequence[WidthGroup], setting: Setting) -> dict[str, LayerFacts]:
    """Return layer → what was measured of it, in the order of the model.

    Args:
        measured: Profiles and counts.
        groups: Of the network.
        setting: That it was measured in.
    """
    whole = {layer: group.whole for group in groups if group.whole for layer in group.layers}
    now, before = measured.pruned.times("layer"), measured.dense.times("layer")
    conversions = measured.pruned.times("conversion")
    all_macs = sum(work.macs for work in measured.work.values()) or 1
    found = {}
    for name, work in measured.work.items():
        memory_ms, compute_ms = _roofline_ms(work, measured.roofline, setting)
        found[name] = LayerFacts(
            ms=now.get(name, 0.0),
            dense_ms=before.get(name, 0.0),
            macs=work.macs,
            dense_macs=measured.dense_work[name].macs if name in measured.dense_work else work.macs,
            time_share=now.get(name, 0.0) / measured.pruned.shared_ms,
            mac_share=work.macs / all_macs,
            kept_whole=whole.get(name, ""),
            fixed_ms=measured.fixed.node_ms,
            launch_bound=measured.launch_bound,
            conversion_ms=conversions.get(name, 0.0),
            wider=_wider(name, measured),
            wider_macs={m: of[name].macs for m, of in measured.wider_work.items() if name in of},
            memory_ms=memory_ms,
            compute_ms=compute_ms,
            one_thread=None
            if measured.one_thread is None
            else paired_ratio(measured.one_thread.series(name), measured.pruned.series(name)),
        )
    return found


def _wider(name: str, measured: Measured) -> dict[int, PairedRatio]:
    """Return multiple → time ÷ time now of a layer that does more there: any other change is noise."""
    found = {}
    for multiple, profile in measured.wider.items():
        work = measured.wider_work[multiple].get(name)
        ratio = paired_ratio(profile.series(name), measured.pruned.series(name))
        if ratio is not None and work is not None and work.macs > measured.work[name].macs:
            found[multiple] = ratio
    return found


def _roofline_ms(work: LayerWork, roofline: Roofline | None, setting: Setting) -> tuple[float, float]:
    """Return the least milliseconds for the bytes of a layer, and for its arithmetic."""
    if roofline is None:
        return 0.0, 0.0
    size = PRECISIONS[setting.precision].dtype.itemsize
    moved = size * (work.weights + setting.batch_size * work.activations)
    flops = 2.0 * setting.batch_size * work.macs
    return 1e3 * moved / roofline.bandwidth_bytes_per_s, 1e3 * flops / roofline.peak_flops_per_s

"""One cell's speed before and now, relative to its reference, and whether its times may be compared."""

import math
from collections.abc import Iterator
from statistics import median

from pruning_core.gate.comparability import Comparability
from pruning_core.gate.dense_roofline import NEEDED, compare_to_roofline, roofline_fraction
from pruning_core.gate.finding import (
    CANNOT_COMPARE,
    INCONCLUSIVE,
    PASS,
    Bounds,
    Evidence,
    Finding,
    Noise,
    NoisyFinding,
    differs,
    missing_fields,
)
from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record
from pruning_core.stats.rank_sum import p_shift_above, shift_bounds


def speed_findings(
    baseline: Record, new: Record, tolerances: Tolerances, context: Comparability, p05_shift: float | None
) -> Iterator[Finding | NoisyFinding]:
    """Compare the speeds of one cell, and of an A/A control its distance from the roofline.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        context: What holds for the two runs as wholes.
        p05_shift: How much the 5th percentile of its calls grew beyond its reference's, as ln, where known.
    """
    missing = missing_fields(
        baseline, new, "log_ratios", "rounds", "speedup", "is_control", "contaminated", "threads", "device"
    )
    mismatch = context.machine_difference
    if not mismatch and baseline.get("threads") != new.get("threads"):
        mismatch = (
            f"{differs('torch_threads', baseline.get('threads'), new.get('threads'))}. "
            f"Measure the baseline again, or set --threads {baseline.get('threads')}"
        )
    if missing:
        yield missing
    elif mismatch and context.policy.on_other_machine == "skip":
        yield _undecidable(PASS, f"speed not compared, by the policy: {mismatch}")
    elif mismatch:
        yield _undecidable(CANNOT_COMPARE, f"speed not compared: {mismatch}")
    else:
        speed = _untrusted(baseline, new, context) or _speed_finding(
            baseline, new, tolerances, context, p05_shift
        )
        yield speed
        # What the control says holds only where it says that times can be trusted.
        if speed.metric == "control" and all(name in record for record in (baseline, new) for name in NEEDED):
            yield _roofline_finding(baseline, new, tolerances, context)


def inconsistency(record: Record) -> str | None:
    """Return how a record contradicts itself about its rounds, in words; None when it does not."""
    values = record["log_ratios"]
    if len(values) != record["rounds"] or not values:
        return f"{len(values)} log_ratios for {record['rounds']} rounds"
    # 1e-3: a record may be rounded, but not be about other rounds.
    if abs(median(values) + math.log(record["speedup"])) > 1e-3:
        return "a speedup that is not that of its log_ratios"
    return None


def _undecidable(verdict: str, reason: str, changed: bool = False) -> Finding:
    return Finding(metric="speed", verdict=verdict, reason=reason, changed=changed)


def _untrusted(baseline: Record, new: Record, context: Comparability) -> Finding | None:
    """Return what to say where a record is damaged or untrusted; None where both can be compared."""
    for which, record in (("the baseline", baseline), ("this run", new)):
        if damage := inconsistency(record):
            return _undecidable(CANNOT_COMPARE, f"{which} has {damage}: the record is damaged", True)
    device = new["device"]
    if device in context.untrusted_baseline or baseline["contaminated"]:
        # Measuring this change again would not mend it.
        why = context.untrusted_baseline.get(device) or _contaminated(baseline)
        return _undecidable(CANNOT_COMPARE, f"speed not compared: the baseline is {why}. Measure it again")
    if device in context.untrusted_new or new["contaminated"]:
        why = context.untrusted_new.get(device) or _contaminated(new)
        return _undecidable(INCONCLUSIVE, f"speed not judged: this run is {why}. Measure again")
    return None


def _speed_finding(
    baseline: Record, new: Record, tolerances: Tolerances, context: Comparability, p05_shift: float | None
) -> Finding | NoisyFinding:
    if new["is_control"]:
        reason = f"A/A control within tolerance: {new['speedup']:.3f}×"
        return Finding(metric="control", verdict=PASS, reason=reason)
    before, now = baseline["log_ratios"], new["log_ratios"]
    margin, confidence = math.log1p(tolerances.slowdown), context.policy.confidence
    shift, low, high = shift_bounds(before, now, confidence)
    change = Bounds(math.expm1(shift), math.expm1(low), math.expm1(high))
    word, size = change.in_words("slower", "faster")
    return NoisyFinding(
        metric="speed",
        reason=(
            f"{size.value:.1%} {word} [{size.low:.1%}, {size.high:.1%}] relative to its reference (speed-up "
            f"{baseline['speedup']:.2f}× → {new['speedup']:.2f}×), tolerance {tolerances.slowdown:.1%}"
        ),
        baseline=baseline["speedup"],
        new=new["speedup"],
        change=change,
        # Of many cells some are off by chance: a row in the table for those only that are worth a look.
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
        evidence=Evidence(
            p_value=p_shift_above(before, now, margin),
            within_tolerance=high <= margin,
            counter_evidence=_counter_evidence(baseline, new, context, p05_shift, margin)
            if margin < low
            else None,
            noise=Noise(_spread(before, now), len(before), len(now)),
        ),
    )


def _counter_evidence(
    baseline: Record, new: Record, context: Comparability, p05_shift: float | None, margin: float
) -> str | None:
    """Return what contradicts a slow-down that all rounds agree on; None where nothing does.

    A shared machine may favour one of a pair for a whole run. More work in the cell shows in its undisturbed
    calls too.
    """
    if p05_shift is not None and p05_shift <= margin:
        word = "slower" if p05_shift >= 0 else "faster"
        return f"the 5th percentile of its calls is {abs(math.expm1(p05_shift)):.1%} {word}"
    return context.state_difference([baseline], [new])


def _roofline_finding(
    baseline: Record, new: Record, tolerances: Tolerances, context: Comparability
) -> NoisyFinding:
    tolerance = tolerances.dense_slowdown
    change, p_value = compare_to_roofline(baseline, new, tolerance, context.policy)
    before, now = roofline_fraction(baseline), roofline_fraction(new)
    word, size = change.in_words("slower", "faster")
    return NoisyFinding(
        metric="roofline",
        reason=(
            f"dense model {size.value:.1%} {word} [{size.low:.1%}, {size.high:.1%}] at the 5th percentile of "
            f"calls, relative to this machine's roofline ({before:.0%} → {now:.0%} of it), "
            f"tolerance {tolerance:.1%}"
        ),
        baseline=before,
        new=now,
        change=change,
        changed=abs(change.value) > tolerance / 2,
        evidence=Evidence(p_value=p_value, within_tolerance=change.high <= tolerance),
    )


def _contaminated(record: Record) -> str:
    contention = record.get("contention")
    return f"contaminated ({contention})" if contention else "marked as contaminated"


def _spread(before: list[float], now: list[float]) -> float:
    """Return the standard deviation of a round around its run's median, both runs together."""
    residuals = [x - centre for values in (before, now) for centre in [median(values)] for x in values]
    return math.sqrt(sum(x * x for x in residuals) / max(len(residuals) - 2, 1))

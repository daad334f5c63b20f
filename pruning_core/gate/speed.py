"""One cell's speed before and now, relative to its reference, and whether its times may be compared."""

import math
from collections.abc import Iterator
from statistics import median

from pruning_core.gate.comparability import Comparability
from pruning_core.gate.dense_roofline import NEEDED, compare_to_roofline, fraction_of_ceiling
from pruning_core.gate.finding import CANNOT_COMPARE, INCONCLUSIVE, PASS, Finding, differs, missing_fields
from pruning_core.gate.fork_join import state_difference
from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record
from pruning_core.stats import rank_sum as statistics


def speed_findings(
    baseline: Record, new: Record, tolerances: Tolerances, around: Comparability, fastest: float | None
) -> Iterator[Finding]:
    """Compare the speeds of one cell, and of an A/A control its distance from the ceiling.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        around: What holds for the two runs as wholes.
        fastest: How much slower its fastest calls became than its reference's, as a logarithm, where known.
    """
    lacking = missing_fields(
        baseline, new, "log_ratios", "rounds", "speedup", "is_control", "contaminated", "threads", "device"
    )
    barrier = around.machine_difference or (
        f"{differs('torch_threads', baseline.get('threads'), new.get('threads'))}. "
        f"Measure the baseline again, or set --threads {baseline.get('threads')}"
        if baseline.get("threads") != new.get("threads")
        else ""
    )
    if lacking:
        yield lacking
    elif barrier and around.policy.on_other_machine == "skip":
        yield Finding("speed", PASS, f"speed not compared, by the policy: {barrier}")
    elif barrier:
        yield Finding("speed", CANNOT_COMPARE, f"speed not compared: {barrier}")
    else:
        speed = _speed_finding(baseline, new, tolerances, around, fastest)
        yield speed
        # What the control says holds only where it says that times can be trusted.
        if speed.metric == "control" and all(name in record for record in (baseline, new) for name in NEEDED):
            yield _roofline_finding(baseline, new, tolerances, around)


def inconsistency(record: Record) -> str:
    """Return how a record contradicts itself about its rounds, in words; empty when it does not."""
    values = record["log_ratios"]
    if len(values) != record["rounds"] or not values:
        return f"{len(values)} log_ratios for {record['rounds']} rounds"
    # 1e-3: a record may be rounded, but not be about other rounds.
    if abs(median(values) + math.log(record["speedup"])) > 1e-3:
        return "a speedup that is not that of its log_ratios"
    return ""


def _speed_finding(
    baseline: Record, new: Record, tolerances: Tolerances, around: Comparability, fastest: float | None
) -> Finding:
    for which, record in (("the baseline", baseline), ("this run", new)):
        if damage := inconsistency(record):
            reason = f"{which} has {damage}: the record is damaged"
            return Finding("speed", CANNOT_COMPARE, reason, changed=True)
    device = new["device"]
    if device in around.spoiled_baseline or baseline["contaminated"]:
        # Measuring this change again would not mend it.
        why = around.spoiled_baseline.get(device) or _contaminated(baseline)
        return Finding(
            "speed", CANNOT_COMPARE, f"speed not compared: the baseline is {why}. Measure it again"
        )
    if device in around.spoiled_new or new["contaminated"]:
        why = around.spoiled_new.get(device) or _contaminated(new)
        return Finding("speed", INCONCLUSIVE, f"speed not judged: this run is {why}. Measure again")
    if new["is_control"]:
        return Finding("control", PASS, f"A/A control within tolerance: {new['speedup']:.3f}×")
    before, now = baseline["log_ratios"], new["log_ratios"]
    margin, confidence = math.log1p(tolerances.slowdown), around.policy.confidence
    shift, low, high = statistics.shift_bounds(before, now, confidence)
    slower, slower_low, slower_high = math.expm1(shift), math.expm1(low), math.expm1(high)
    word = "slower" if shift >= 0 else "faster"
    size, least, most = (slower, slower_low, slower_high)
    if shift < 0:  # in terms of time saved, so that all three numbers of the sentence speak of one thing
        size, least, most = -slower, -slower_high, -slower_low
    reason = (
        f"{size:.1%} {word} [{least:.1%}, {most:.1%}] relative to its reference "
        f"(speed-up {baseline['speedup']:.2f}× → {new['speedup']:.2f}×), tolerance {tolerances.slowdown:.1%}"
    )
    # A shared machine may favour one of a pair for a whole run, and rounds agree on that. More work in the
    # cell shows in its undisturbed calls too, so both have to speak against it.
    doubt = ""
    if fastest is not None and fastest <= margin < low:
        word = "slower" if fastest >= 0 else "faster"
        doubt = f"its fastest calls are {abs(math.expm1(fastest)):.1%} {word}"
    elif margin < low:
        doubt = state_difference([baseline], [new])
    return Finding(
        "speed",
        "",
        reason,
        baseline["speedup"],
        new["speedup"],
        slower,
        slower_low,
        slower_high if math.isfinite(slower_high) else None,
        statistics.p_shift_above(before, now, margin),
        high <= margin,
        (_spread(before, now), len(before), len(now)),
        doubt=doubt,
        # Of many cells some are off by chance: a row in the table for those only that are worth a look.
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
    )


def _roofline_finding(
    baseline: Record, new: Record, tolerances: Tolerances, around: Comparability
) -> Finding:
    slower, low, high, p_value = compare_to_roofline(
        baseline, new, tolerances.dense_slowdown, around.policy.confidence
    )
    before, now = fraction_of_ceiling(baseline), fraction_of_ceiling(new)
    word, bounds = ("slower", (low, high)) if slower >= 0 else ("faster", (-high, -low))
    reason = (
        f"dense model {abs(slower):.1%} {word} at its best [{bounds[0]:.1%}, {bounds[1]:.1%}], relative to "
        f"this machine's ceiling ({before:.0%} → {now:.0%} of it), tolerance {tolerances.dense_slowdown:.1%}"
    )
    within = high <= tolerances.dense_slowdown
    changed = abs(slower) > tolerances.dense_slowdown / 2
    return Finding("ceiling", "", reason, before, now, slower, low, high, p_value, within, changed=changed)


def _contaminated(record: Record) -> str:
    contention = record.get("contention")
    return f"contaminated ({contention})" if contention else "marked as contaminated"


def _spread(before: list[float], now: list[float]) -> float:
    """Return the standard deviation of a round around its run's median, both runs together."""
    residuals = [x - centre for values in (before, now) for centre in [median(values)] for x in values]
    return math.sqrt(sum(x * x for x in residuals) / max(len(residuals) - 2, 1))

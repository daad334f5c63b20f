"""One cell's accuracy before and now: its drop, and its floor.

Of one checkpoint on the same images a loss is counted; else it carries the noise of images or of training.
"""

from collections.abc import Iterator

from pruning_core.gate.comparability import Comparability
from pruning_core.gate.finding import CANNOT_COMPARE, PASS, REGRESSED, Finding, missing_fields
from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record
from pruning_core.stats import rank_sum as statistics
from pruning_core.stats.intervals import wilson_interval


def accuracy_findings(
    baseline: Record, new: Record, tolerances: Tolerances, around: Comparability
) -> Iterator[Finding]:
    """Compare the accuracies of one cell, and the new one with its floor.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        around: What holds for the two runs as wholes.
    """
    lacking = missing_fields(baseline, new, "accuracy", "accuracy_n", "key")
    if lacking:
        yield lacking
        return
    n = new["accuracy_n"]
    right_before, right_now = round(baseline["accuracy"] * n), round(new["accuracy"] * n)
    yield _drop_finding(baseline, new, (right_before, right_now, n), tolerances, around)
    floor = tolerances.min_accuracy
    if floor > 0:
        confidence = around.policy.confidence
        low, high = wilson_interval(right_now, n, 2 * confidence - 1)
        reason = f"accuracy {right_now / n:.2%} [{low:.2%}, {high:.2%}], floor {floor:.2%}"
        p_value = statistics.p_accuracy_below(right_now, n, floor)
        yield Finding("min_accuracy", "", reason, None, right_now / n, p_value=p_value, within=low >= floor)


def _drop_finding(
    baseline: Record,
    new: Record,
    counts: tuple[int, int, int],
    tolerances: Tolerances,
    around: Comparability,
) -> Finding:
    before, now, n = counts
    margin, confidence = tolerances.accuracy_drop, around.policy.confidence
    values = (before / n, now / n, (before - now) / n)
    same_key = baseline["key"] == new["key"]
    pairs = _discordant(baseline, new, counts)
    if isinstance(pairs, str):
        return Finding("accuracy", CANNOT_COMPARE, pairs, changed=True)
    if same_key:
        return _exact_drop(before, now, n, margin)
    if pairs is None:
        low, high = statistics.drop_bounds(before, n, now, n, confidence)
        p_value = statistics.p_drop_above(before, n, now, n, margin)
        how = "images not paired"
    else:
        low, high = statistics.paired_drop_bounds(*pairs, n, confidence)
        p_value = statistics.p_paired_drop_above(*pairs, n, margin)
        how = "images paired"
    drop = values[2]
    word = "drop" if drop >= 0 else "gain"
    bounds = (low, high) if drop >= 0 else (-high, -low)
    reason = (
        f"accuracy {values[0]:.2%} → {values[1]:.2%}: {word} {abs(drop) * 100:.2f} points "
        f"[{bounds[0] * 100:.2f}, {bounds[1] * 100:.2f}] ({how}), tolerance {margin * 100:g}"
    )
    return Finding("accuracy", "", reason, *values, low, high, p_value, high <= margin, changed=drop != 0)


def _exact_drop(before: int, now: int, n: int, margin: float) -> Finding:
    """Judge a drop of one checkpoint on the same images.

    Neither weights nor images were drawn anew: only the software can have changed its answers, and what it
    lost on this split is counted, not estimated.
    """
    drop = (before - now) / n
    verdict = REGRESSED if before - now > margin * n + 1e-9 else PASS
    word = "drop" if drop > 0 else "gain"
    reason = (
        f"accuracy {before / n:.2%} → {now / n:.2%}: {word} {abs(drop) * 100:.2f} points "
        f"of the same checkpoint, tolerance {margin * 100:g}"
        if drop
        else f"accuracy the same, {now} of {n}"
    )
    return Finding("accuracy", verdict, reason, before / n, now / n, drop, drop, drop, changed=drop != 0)


def _discordant(
    baseline: Record, new: Record, counts: tuple[int, int, int]
) -> tuple[float, float] | str | None:
    """Count the images right before only and right now only; None when the records do not tell."""
    a, b = baseline.get("correct_bits"), new.get("correct_bits")
    if not a or not b:
        return None
    digits = -(-counts[2] // 4)
    for which, text, right in (("the baseline", a, counts[0]), ("this run", b, counts[1])):
        if len(text) != digits or int(text, 16).bit_count() != right:
            return f"correct_bits of {which} does not fit its accuracy: the record is damaged"
    was, now = int(a, 16), int(b, 16)
    return (was & ~now).bit_count(), (now & ~was).bit_count()

"""One cell's accuracy before and now: its drop, and its floor.

Of one checkpoint on the same images a loss is counted; else it carries the noise of images or of training.
"""

from collections.abc import Iterator

from pruning_core.gate.comparability import Comparability
from pruning_core.gate.finding import (
    CANNOT_COMPARE,
    PASS,
    REGRESSED,
    Bounds,
    Evidence,
    Finding,
    NoisyFinding,
    missing_fields,
)
from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record
from pruning_core.stats import proportions
from pruning_core.stats.intervals import wilson_interval


def accuracy_findings(
    baseline: Record, new: Record, tolerances: Tolerances, context: Comparability
) -> Iterator[Finding | NoisyFinding]:
    """Compare the accuracies of one cell, and the new one with its floor.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        context: What holds for the two runs as wholes.
    """
    missing = missing_fields(baseline, new, "accuracy", "accuracy_n", "key")
    if missing:
        yield missing
        return
    n = new["accuracy_n"]
    correct_before, correct_now = round(baseline["accuracy"] * n), round(new["accuracy"] * n)
    yield _drop_finding(baseline, new, (correct_before, correct_now, n), tolerances, context)
    floor = tolerances.min_accuracy
    if floor > 0:
        low, high = wilson_interval(correct_now, n, 2 * context.policy.confidence - 1)
        yield NoisyFinding(
            metric="min_accuracy",
            reason=f"accuracy {correct_now / n:.2%} [{low:.2%}, {high:.2%}], floor {floor:.2%}",
            new=correct_now / n,
            evidence=Evidence(
                p_value=proportions.p_accuracy_below(correct_now, n, floor), within_tolerance=low >= floor
            ),
        )


def _drop_finding(
    baseline: Record,
    new: Record,
    counts: tuple[int, int, int],
    tolerances: Tolerances,
    context: Comparability,
) -> Finding | NoisyFinding:
    before, now, n = counts
    margin, confidence = tolerances.max_accuracy_drop, context.policy.confidence
    drop = (before - now) / n
    pairs = _discordant(baseline, new, counts)
    if isinstance(pairs, str):
        return Finding(metric="accuracy", verdict=CANNOT_COMPARE, reason=pairs, changed=True)
    if baseline["key"] == new["key"]:
        return _exact_drop(before, now, n, margin)
    if pairs is None:
        change = Bounds(drop, *proportions.drop_bounds(before, n, now, n, confidence))
        p_value = proportions.p_drop_above(before, n, now, n, margin)
        how = "images not paired"
    else:
        change = Bounds(drop, *proportions.paired_drop_bounds(*pairs, n, confidence))
        p_value = proportions.p_paired_drop_above(*pairs, n, margin)
        how = "images paired"
    word, size = change.in_words("drop", "gain")
    return NoisyFinding(
        metric="accuracy",
        reason=(
            f"accuracy {before / n:.2%} → {now / n:.2%}: {word} {size.value * 100:.2f} points "
            f"[{size.low * 100:.2f}, {size.high * 100:.2f}] ({how}), tolerance {margin * 100:g}"
        ),
        baseline=before / n,
        new=now / n,
        change=change,
        changed=drop != 0,
        evidence=Evidence(p_value=p_value, within_tolerance=change.high <= margin),
    )


def _exact_drop(before: int, now: int, n: int, margin: float) -> Finding:
    """Judge a drop of one checkpoint on the same images.

    Neither weights nor images were drawn again: only the software can have changed its predictions, and what
    it lost on this split is counted, not estimated.
    """
    drop = (before - now) / n
    word = "drop" if drop > 0 else "gain"
    return Finding(
        metric="accuracy",
        verdict=REGRESSED if before - now > margin * n + 1e-9 else PASS,
        reason=(
            f"accuracy {before / n:.2%} → {now / n:.2%}: {word} {abs(drop) * 100:.2f} points "
            f"of the same checkpoint, tolerance {margin * 100:g}"
            if drop
            else f"accuracy the same, {now} of {n}"
        ),
        baseline=before / n,
        new=now / n,
        change=Bounds.exact(drop),
        changed=drop != 0,
    )


def _discordant(
    baseline: Record, new: Record, counts: tuple[int, int, int]
) -> tuple[float, float] | str | None:
    """Count the images correct before only and now only.

    Returns:
        The two counts; None when the records do not tell; what is wrong, in words, with a damaged record.
    """
    a, b = baseline.get("correct_bits"), new.get("correct_bits")
    if not a or not b:
        return None
    digits = -(-counts[2] // 4)
    for which, text, correct in (("the baseline", a, counts[0]), ("this run", b, counts[1])):
        if len(text) != digits or int(text, 16).bit_count() != correct:
            return f"correct_bits of {which} does not fit its accuracy: the record is damaged"
    was, now = int(a, 16), int(b, 16)
    return (was & ~now).bit_count(), (now & ~was).bit_count()

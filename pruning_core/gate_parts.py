"""One cell before and now, metric by metric: what changed, by how much, and what can be said of it.

Exact metrics get their verdict here. What carries noise gets a p-value and a bound here, and its verdict
in `gate.py`, which knows how many such comparisons the run holds. Not for: which cells belong together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

from pruning_core import gate_statistics as statistics
from pruning_core.gate_ceiling import NEEDED, best_fraction, judge_against_ceiling
from pruning_core.gate_circumstances import Circumstances
from pruning_core.gate_policy import Tolerances
from pruning_core.intervals import wilson_interval
from pruning_core.records import Record

PASS, REGRESSED, INCONCLUSIVE, CANNOT_COMPARE = "pass", "regressed", "inconclusive", "cannot-compare"

IDENTITY = (
    "model",
    "dataset",
    "dataset_fingerprint",
    "method",
    "ratio",
    "schedule",
    "scope",
    "round_to",
    "seed",
    "backend",
    "precision",
    "device",
    "accuracy_n",
    "batch_size",
    "reference",
    "control",
)
"""Where two records differ in one of these, they do not speak of the same thing."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is said of one metric of a cell."""

    metric: str  # a field of the record, or `speed`, `ceiling`, `backend`, `control`, `status`, `record`
    verdict: str  # empty until the noisy comparisons of the run have been judged together
    reason: str
    baseline: float | None = None
    new: float | None = None
    change: float | None = None  # slow-down or growth as a fraction, drop as a fraction of the images
    change_low: float | None = None
    change_high: float | None = None
    p_value: float | None = None  # of the change if it were within the tolerance
    within: bool = False  # the bound of the change stays within the tolerance
    detectable: tuple[float, int, int] | None = None  # spread of one value, values on either side
    doubt: str = ""  # what speaks against a regression that the p-value alone would make certain
    changed: bool = False

    def settled(self, rejected: bool, tolerances: Tolerances, confidence: float) -> "Part":
        """Return this noisy part with its verdict.

        Args:
            rejected: Holm's procedure over the run has rejected that the change is within the tolerance.
            tolerances: Those of the cell.
            confidence: Coverage of the bounds.
        """
        if rejected:
            return replace(self, verdict=REGRESSED, changed=True)
        if self.within:
            return replace(self, verdict=PASS)
        remedies = {"speed": "more rounds", "backend": "more rounds or cells", "ceiling": "another run"}
        remedy = "another run" if self.doubt else remedies.get(self.metric, "more test images")
        advice = f"{remedy} would tell"
        alone = self.p_value is not None and self.p_value <= 1 - confidence
        why = self.doubt or (
            "clear by itself, not among all cells of the run"
            if alone
            else "the tolerance is within the bounds"
        )
        if tolerances.inconclusive == PASS:
            return replace(
                self, verdict=PASS, reason=f"{self.reason}; {why}, passed by the policy", changed=True
            )
        return replace(self, verdict=INCONCLUSIVE, reason=f"{self.reason}; {why}: {advice}", changed=True)


def judge_parts(
    baseline: Record,
    new: Record,
    tolerances: Tolerances,
    around: Circumstances,
    with_accuracy: bool,
    fastest: float | None = None,
) -> list[Part]:
    """Compare one cell before and now.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        around: What holds for the two runs as wholes.
        with_accuracy: Whether a latency record's accuracy is to be judged: no when an accuracy record says
            the same.
        fastest: How much slower its fastest calls became than its reference's, as a logarithm, where known.
    """
    if new["status"] == "failed":
        also = ", as in the baseline" if baseline["status"] == "failed" else ""
        text = str(new.get("failure") or "no reason given")
        return [Part("status", REGRESSED, f"failed{also}: {text}", changed=True)]
    unlike = [name for name in IDENTITY if baseline.get(name) != new.get(name)]
    if unlike:
        words = "; ".join(_differs(name, baseline.get(name), new.get(name)) for name in unlike)
        return [Part("record", CANNOT_COMPARE, words, changed=True)]
    suite = new["suite"]
    parts = list(_cost_parts(baseline, new)) if suite == "cost" else []
    if suite == "accuracy" or (suite == "latency" and with_accuracy):
        parts += _accuracy_parts(baseline, new, tolerances, around)
    if suite in ("latency", "training"):
        parts += _speed_parts(baseline, new, tolerances, around, fastest)
    if not parts:
        return [Part("record", CANNOT_COMPARE, f"suite {suite!r} holds nothing that this gate knows")]
    if baseline["status"] == "failed":
        parts.append(Part("status", PASS, "failed in the baseline, holds now", changed=True))
    return parts


def _cost_parts(baseline: Record, new: Record) -> Iterator[Part]:
    for name, unit in (("macs", "MACs"), ("params", "parameters"), ("size_bytes", "bytes")):
        lacking = _lacking(baseline, new, name)
        if lacking:
            yield lacking
            continue
        before, now = baseline[name], new[name]
        growth = (now - before) / before if before else (math.inf if now else 0.0)
        numbers = (
            f"{unit} {before:,} → {now:,} ({now - before:+,}{_signed(growth)})"
            if now != before
            else f"{unit} the same"
        )
        verdict = REGRESSED if now > before else PASS
        reason = f"{numbers}, improved" if now < before else numbers
        finite = growth if math.isfinite(growth) else None
        yield Part(name, verdict, reason, before, now, finite, changed=now != before)


def _accuracy_parts(
    baseline: Record, new: Record, tolerances: Tolerances, around: Circumstances
) -> Iterator[Part]:
    lacking = _lacking(baseline, new, "accuracy", "accuracy_n", "key")
    if lacking:
        yield lacking
        return
    n = new["accuracy_n"]
    right_before, right_now = round(baseline["accuracy"] * n), round(new["accuracy"] * n)
    yield _drop_part(baseline, new, (right_before, right_now, n), tolerances, around)
    floor = tolerances.accuracy_floor
    if floor > 0:
        confidence = around.policy.confidence
        low, high = wilson_interval(right_now, n, 2 * confidence - 1)
        reason = f"accuracy {right_now / n:.2%} [{low:.2%}, {high:.2%}], floor {floor:.2%}"
        p_value = statistics.p_accuracy_below(right_now, n, floor)
        yield Part("accuracy_floor", "", reason, None, right_now / n, p_value=p_value, within=low >= floor)


def _drop_part(
    baseline: Record,
    new: Record,
    counts: tuple[int, int, int],
    tolerances: Tolerances,
    around: Circumstances,
) -> Part:
    before, now, n = counts
    margin, confidence = tolerances.accuracy_drop, around.policy.confidence
    values = (before / n, now / n, (before - now) / n)
    same_key = baseline["key"] == new["key"]
    pairs = _discordant(baseline, new, counts)
    if isinstance(pairs, str):
        return Part("accuracy", CANNOT_COMPARE, pairs, changed=True)
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
    return Part("accuracy", "", reason, *values, low, high, p_value, high <= margin, changed=drop != 0)


def _exact_drop(before: int, now: int, n: int, margin: float) -> Part:
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
    return Part("accuracy", verdict, reason, before / n, now / n, drop, drop, drop, changed=drop != 0)


def _discordant(
    baseline: Record, new: Record, counts: tuple[int, int, int]
) -> tuple[float, float] | str | None:
    """Count the images right before only and right now only; None when the records do not tell."""
    a, b = baseline.get("right_answers"), new.get("right_answers")
    if not a or not b:
        return None
    digits = -(-counts[2] // 4)
    for which, text, right in (("the baseline", a, counts[0]), ("this run", b, counts[1])):
        if len(text) != digits or int(text, 16).bit_count() != right:
            return f"right_answers of {which} does not fit its accuracy: the record is damaged"
    was, now = int(a, 16), int(b, 16)
    return (was & ~now).bit_count(), (now & ~was).bit_count()


def _speed_parts(
    baseline: Record, new: Record, tolerances: Tolerances, around: Circumstances, fastest: float | None
) -> Iterator[Part]:
    lacking = _lacking(
        baseline, new, "log_ratios", "rounds", "speedup", "control", "contaminated", "threads", "device"
    )
    barrier = around.machine_difference or (
        f"{_differs('torch_threads', baseline.get('threads'), new.get('threads'))}. "
        f"Measure the baseline again, or set --threads {baseline.get('threads')}"
        if baseline.get("threads") != new.get("threads")
        else ""
    )
    if lacking:
        yield lacking
    elif barrier and around.policy.times_on_other_machine == "skip":
        yield Part("speed", PASS, f"speed not compared, by the policy: {barrier}")
    elif barrier:
        yield Part("speed", CANNOT_COMPARE, f"speed not compared: {barrier}")
    else:
        speed = _speed_part(baseline, new, tolerances, around, fastest)
        yield speed
        # What the control says holds only where it says that times can be trusted.
        if speed.metric == "control" and all(name in record for record in (baseline, new) for name in NEEDED):
            yield _ceiling_part(baseline, new, tolerances, around)


def _speed_part(
    baseline: Record, new: Record, tolerances: Tolerances, around: Circumstances, fastest: float | None
) -> Part:
    for which, record in (("the baseline", baseline), ("this run", new)):
        values = record["log_ratios"]
        # 1e-3: a record may be rounded, but not be about other rounds.
        if len(values) != record["rounds"] or not values:
            found = f"{len(values)} log_ratios for {record['rounds']} rounds"
        elif abs(median(values) + math.log(record["speedup"])) > 1e-3:
            found = "a speedup that is not that of its log_ratios"
        else:
            continue
        return Part("speed", CANNOT_COMPARE, f"{which} has {found}: the record is damaged", changed=True)
    device = new["device"]
    if device in around.spoiled_baseline or baseline["contaminated"]:
        # Measuring this change again would not mend it.
        why = around.spoiled_baseline.get(device) or _contaminated(baseline)
        return Part("speed", CANNOT_COMPARE, f"speed not compared: the baseline is {why}. Measure it again")
    if device in around.spoiled_new or new["contaminated"]:
        why = around.spoiled_new.get(device) or _contaminated(new)
        return Part("speed", INCONCLUSIVE, f"speed not judged: this run is {why}. Measure again")
    if new["control"]:
        return Part("control", PASS, f"A/A control within tolerance: {new['speedup']:.3f}×")
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
    return Part(
        "speed",
        "",
        reason,
        baseline["speedup"],
        new["speedup"],
        slower,
        slower_low,
        slower_high if math.isfinite(slower_high) else None,
        1.0 if doubt else statistics.p_shift_above(before, now, margin),
        high <= margin,
        (_spread(before, now), len(before), len(now)),
        doubt=doubt,
        # Of many cells some are off by chance: a row in the table for those only that are worth a look.
        changed=abs(shift) > margin / 2 and (low > 0 or high < 0),
    )


def _ceiling_part(baseline: Record, new: Record, tolerances: Tolerances, around: Circumstances) -> Part:
    slower, low, high, p_value = judge_against_ceiling(
        baseline, new, tolerances.dense_slowdown, around.policy.confidence
    )
    before, now = best_fraction(baseline), best_fraction(new)
    word, bounds = ("slower", (low, high)) if slower >= 0 else ("faster", (-high, -low))
    reason = (
        f"dense model {abs(slower):.1%} {word} at its best [{bounds[0]:.1%}, {bounds[1]:.1%}], relative to "
        f"this machine's ceiling ({before:.0%} → {now:.0%} of it), tolerance {tolerances.dense_slowdown:.1%}"
    )
    within = high <= tolerances.dense_slowdown
    changed = abs(slower) > tolerances.dense_slowdown / 2
    return Part("ceiling", "", reason, before, now, slower, low, high, p_value, within, changed=changed)


def _contaminated(record: Record) -> str:
    disturbance = record.get("disturbance")
    return f"contaminated ({disturbance})" if disturbance else "marked as contaminated"


def _spread(before: list[float], now: list[float]) -> float:
    """Return the standard deviation of a round around its run's median, both runs together."""
    residuals = [x - centre for values in (before, now) for centre in [median(values)] for x in values]
    return math.sqrt(sum(x * x for x in residuals) / max(len(residuals) - 2, 1))


def _lacking(baseline: Record, new: Record, *names: str) -> Part | None:
    for which, record in (("the baseline", baseline), ("this run", new)):
        absent = [name for name in names if name not in record]
        if absent:
            return Part(absent[0], CANNOT_COMPARE, f"{which} has no {', '.join(absent)}", changed=True)
    return None


def _differs(name: str, before: object, now: object) -> str:
    return f"{name} differs: baseline {_said(before)}, this run {_said(now)}"


def _said(value: object) -> str:
    if value is None:
        return "none"
    text = repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _signed(fraction: float) -> str:
    return f", {100 * fraction:+.3g}%" if math.isfinite(fraction) else ""

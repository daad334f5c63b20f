"""One cell before and now, metric by metric: what changed, by how much, and what can be said of it.

Exact metrics get their verdict here. What carries noise gets a p-value and a bound here, and its verdict
in `families.py`, which knows how many such comparisons the run holds.
"""

import math
from collections.abc import Iterator

from pruning_core.gate.comparability import Comparability
from pruning_core.gate.finding import (
    CANNOT_COMPARE,
    PASS,
    REGRESSED,
    Bounds,
    Finding,
    NoisyFinding,
    differs,
    missing_fields,
)
from pruning_core.gate.network import network_difference
from pruning_core.gate.policy import Tolerances
from pruning_core.gate.score import measure_difference, score_findings
from pruning_core.gate.speed import speed_findings
from pruning_core.records.fields import Record
from pruning_core.records.mac_counts import counted_alike, counts_of

MATCHING_FIELDS = (
    "model",
    "dataset",
    "dataset_fingerprint",
    "method",
    "ratio",
    "schedule",
    "scope",
    "round_to",
    "protect",
    "ratio_of",
    "max_ratio",
    "optimize_for",
    "seed",
    "backend",
    "precision",
    "device",
    "accuracy_n",
    "score_n",
    "batch_size",
    "reference",
    "is_control",
)
"""Where two records differ in one of these, they do not speak of the same thing."""


def what_is(record: Record, name: str) -> object:
    """Return a field by which records are matched; of a folder of images, only that it is one.

    Earlier files call every folder `folder`; which one it is, the fingerprint says.
    """
    value = record.get(name)
    return "folder" if name == "dataset" and str(value).startswith("folder-") else value


def cell_findings(
    baseline: Record,
    new: Record,
    tolerances: Tolerances,
    context: Comparability,
    with_accuracy: bool,
    p05_shift: float | None = None,
) -> list[Finding | NoisyFinding]:
    """Compare one cell before and now.

    Args:
        baseline: The record before.
        new: The record now.
        tolerances: Those of the cell.
        context: What holds for the two runs as wholes.
        with_accuracy: Whether a latency record's score is to be judged: no when an accuracy record says
            the same.
        p05_shift: How much the 5th percentile of its calls grew beyond its reference's, as ln, where known.
    """
    if new["status"] == "failed":
        also = ", as in the baseline" if baseline["status"] == "failed" else ""
        text = str(new.get("failure") or "no reason given")
        return [_finding("status", REGRESSED, f"failed{also}: {text}")]
    if other := measure_difference(baseline, new):
        return [_finding("record", CANNOT_COMPARE, other)]
    unlike = [name for name in MATCHING_FIELDS if what_is(baseline, name) != what_is(new, name)]
    if unlike:
        words = "; ".join(differs(name, baseline.get(name), new.get(name)) for name in unlike)
        return [_finding("record", CANNOT_COMPARE, words)]
    suite = new["suite"]
    findings: list[Finding | NoisyFinding] = []
    if suite == "cost":
        findings += _cost_findings(baseline, new)
    if suite == "accuracy" or (suite == "latency" and with_accuracy):
        findings += score_findings(baseline, new, tolerances, context)
    if suite in ("latency", "training"):
        findings += speed_findings(baseline, new, tolerances, context, p05_shift)
    if not findings:
        reason = f"suite {suite!r} holds nothing that this gate knows"
        return [Finding(metric="record", verdict=CANNOT_COMPARE, reason=reason)]
    if baseline["status"] == "failed":
        findings.append(_finding("status", PASS, "failed in the baseline, holds now"))
    return findings


def _finding(metric: str, verdict: str, reason: str) -> Finding:
    return Finding(metric=metric, verdict=verdict, reason=reason, changed=True)


def _cost_findings(baseline: Record, new: Record) -> Iterator[Finding]:
    another = network_difference(baseline, new)
    for name, unit in (("macs", "MACs"), ("params", "parameters"), ("size_bytes", "bytes")):
        missing = missing_fields(baseline, new, name)
        if missing:
            yield missing
            continue
        before, now = baseline[name], new[name]
        if name == "macs":
            before, now = counted_alike(counts_of(baseline), counts_of(new))
        growth = (now - before) / before if before else (math.inf if now else 0.0)
        reason = f"{unit} the same"
        if now != before:
            reason = f"{unit} {before:,} → {now:,} ({now - before:+,}{_signed(growth)})"
        if now < before:
            reason += ", improved, but the network is another one" if another else ", improved"
        yield Finding(
            metric=name,
            verdict=REGRESSED if now > before else PASS,
            reason=reason,
            baseline=before,
            new=now,
            change=Bounds.exact(growth) if math.isfinite(growth) else None,
            changed=now != before,
        )
    if another:
        yield _finding("widths", PASS, f"another network: {another}")


def _signed(fraction: float) -> str:
    return f", {100 * fraction:+.3g}%" if math.isfinite(fraction) else ""

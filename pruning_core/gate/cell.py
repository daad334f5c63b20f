"""One cell before and now, metric by metric: what changed, by how much, and what can be said of it.

Exact metrics get their verdict here. What carries noise gets a p-value and a bound here, and its verdict
in `compare.py`, which knows how many such comparisons the run holds.
"""

import math
from collections.abc import Iterator

from pruning_core.gate.accuracy import accuracy_findings
from pruning_core.gate.comparability import Comparability
from pruning_core.gate.finding import CANNOT_COMPARE, PASS, REGRESSED, Finding, differs, missing_fields
from pruning_core.gate.network import why_another_network
from pruning_core.gate.policy import Tolerances
from pruning_core.gate.speed import speed_findings
from pruning_core.records.fields import Record

MATCHING_FIELDS = (
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
    around: Comparability,
    with_accuracy: bool,
    fastest: float | None = None,
) -> list[Finding]:
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
        return [Finding("status", REGRESSED, f"failed{also}: {text}", changed=True)]
    unlike = [name for name in MATCHING_FIELDS if what_is(baseline, name) != what_is(new, name)]
    if unlike:
        words = "; ".join(differs(name, baseline.get(name), new.get(name)) for name in unlike)
        return [Finding("record", CANNOT_COMPARE, words, changed=True)]
    suite = new["suite"]
    parts = list(_cost_findings(baseline, new)) if suite == "cost" else []
    if suite == "accuracy" or (suite == "latency" and with_accuracy):
        parts += accuracy_findings(baseline, new, tolerances, around)
    if suite in ("latency", "training"):
        parts += speed_findings(baseline, new, tolerances, around, fastest)
    if not parts:
        return [Finding("record", CANNOT_COMPARE, f"suite {suite!r} holds nothing that this gate knows")]
    if baseline["status"] == "failed":
        parts.append(Finding("status", PASS, "failed in the baseline, holds now", changed=True))
    return parts


def _cost_findings(baseline: Record, new: Record) -> Iterator[Finding]:
    another = why_another_network(baseline, new)
    for name, unit in (("macs", "MACs"), ("params", "parameters"), ("size_bytes", "bytes")):
        lacking = missing_fields(baseline, new, name)
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
        reason = numbers
        if now < before:
            reason += ", improved, but the network is another one" if another else ", improved"
        finite = growth if math.isfinite(growth) else None
        yield Finding(name, verdict, reason, before, now, finite, changed=now != before)
    if another:
        yield Finding("widths", PASS, f"another network: {another}", changed=True)


def _signed(fraction: float) -> str:
    return f", {100 * fraction:+.3g}%" if math.isfinite(fraction) else ""

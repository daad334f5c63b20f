"""The lines below a table of one run: machine, versions, counts of rounds and images, coverage, keys."""

from collections.abc import Iterator

from pruning_core.records.cuts import (
    EXACT,
    alike,
    count_words,
    describe_proof,
    explain_whole_in_line,
    ratio_words,
    whole_alike,
)
from pruning_core.records.fields import Record
from pruning_core.records.target_lines import target_lines
from pruning_core.report.run_index import RunIndex
from pruning_core.report.subject import Subject

MAX_CUT_NOTES = 6
"""Notes on cuts below one table: a long chain may differ at every ratio."""


def batch_notes(batch_sizes: list[int]) -> Iterator[str]:
    """Say what the `b1` of a heading is."""
    if batch_sizes:
        yield "; ".join(f"b{b}: {b} image{'s' if b > 1 else ''} a call" for b in batch_sizes) + "."


def coverage_note(index: RunIndex, subject: Subject, device: str) -> Iterator[str]:
    """Say with what chance the interval of a total speed-up holds, at least."""
    reached = _confidences(index.records_of(subject, device))
    if reached:
        # Both intervals hold unless either misses: at most the sum of the two chances.
        coverage = max(1 - 2 * (1 - min(reached)), 0)
        yield f"the interval of a total speed-up covers with at least {coverage:.1%}."


def roofline_note(index: RunIndex, subject: Subject, device: str) -> Iterator[str]:
    """Say what the roofline of a run was, for each precision."""
    found = {
        (r["precision"], r["threads"]): (r["peak_gflops"], r["bandwidth_gb_s"])
        for r in index.records_of(subject, device)
        if {"precision", "threads", "peak_gflops", "bandwidth_gb_s"} <= r.keys()
    }
    if found:
        each = (f"{p} {flops:.0f} GFLOP/s, {gb:.0f} GB/s" for (p, _), (flops, gb) in sorted(found.items()))
        yield f"roofline measured in this run: {'; '.join(each)}."


def cut_notes(index: RunIndex, subject: Subject, device: str) -> Iterator[str]:
    """Say where a cut is proved but for some statistics, and which groups kept their width, and why."""
    records = [r for r in index.records_of(subject, device) if r.get("ratio")]
    ratios = sorted({r["ratio"] for r in records})
    proofs = {r["ratio"]: r["proof"] for r in records if r.get("proof") not in (None, EXACT)}
    notes = [
        f"{ratio_words(some)}: {describe_proof(proof)}."
        for some, proof in alike((ratio, proofs.get(ratio, "")) for ratio in ratios)
    ]
    whole = {r["ratio"]: r for r in records if r.get("kept_whole")}
    for some, reasons in whole_alike((ratio, whole[ratio]["kept_whole"]) for ratio in sorted(whole)):
        record = whole[some[0]]
        number = record.get("groups_kept_whole", len(reasons))
        words = count_words(number, record.get("groups"))
        notes.append(f"{ratio_words(some)}: kept whole: {words}: {explain_whole_in_line(reasons, number)}.")
    yield from notes[:MAX_CUT_NOTES]
    if len(notes) > MAX_CUT_NOTES:
        yield (
            f"{len(notes) - MAX_CUT_NOTES} more notes on what the proofs found and on groups kept whole: "
            "csv and json hold all."
        )


def target_notes(index: RunIndex, subject: Subject, device: str) -> Iterator[str]:
    """Say which targets the ratios were found for, and whether they are met."""
    records = index.records_of(subject, device)
    yield from (f"{line}." for line in target_lines(records, named=False))


def run_notes(index: RunIndex, subject: Subject, device: str) -> Iterator[str]:
    """Say where the numbers come from, and of which checkpoints they are."""
    records = index.records_of(subject, device)
    facts = [index.provenance()]
    timed = [record for record in records if record["suite"] == "latency"]
    facts += _range_of(timed or records, "threads", "{} threads")
    facts += _range_of(records, "rounds", "{} rounds")
    facts += _range_of(records, "fork_join_us", "fork–join latency {} µs", digits=1)
    facts += _range_of(records, "accuracy_n", "{} test images")
    facts += _range_of(records, "score_n", "{} test examples")
    facts += _range_of(records, "pictures", "pictures: {}")
    reached = _confidences(records)
    if reached:
        facts.append(f"speed-up intervals cover {min(reached):.1%}{_score_coverage(subject, records)}")
    yield " · ".join(facts)
    settings = [
        _range_of(records, name, f"{name} {{}}")
        for name in (
            "weights",
            "schedule",
            "scope",
            "round_to",
            "protect",
            "ratio_of",
            "max_ratio",
            "optimize_for",
            "seed",
        )
    ]
    keys: dict[float, str] = {r["ratio"]: r["key"] for r in records if "ratio" in r and "key" in r}
    short = ", ".join(f"{f'{ratio:g}' if ratio else 'dense'} {keys[ratio][:8]}" for ratio in sorted(keys))
    yield " · ".join([*(text for item in settings for text in item), *([f"keys: {short}"] if short else [])])


def _score_coverage(subject: Subject, records: list[Record]) -> str:
    if subject.measure.is_accuracy:
        return ", accuracy intervals 95.0% (Wilson)"
    known = any("score_low" in record for record in records)
    return f", {subject.measure.name} intervals 95.0%" if known else ""


def _confidences(records: list[Record]) -> list[float]:
    return [r["confidence"] for r in records if "confidence" in r]


def _range_of(records: list[Record], name: str, pattern: str, digits: int | None = None) -> list[str]:
    found = (r[name] for r in records if name in r)
    values = sorted(set(found) if digits is None else {round(value, digits) for value in found})
    if not values:
        return []
    text = str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return [pattern.format(text)]

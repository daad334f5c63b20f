"""The tutorial's own columns: ratio, MACs, parameters, latency ± spread, accuracy pruned and fine-tuned.

So that a run of the grid `post` can be compared with what was published.
"""

from collections.abc import Iterator, Mapping

from pruning_core.records.fields import Record
from pruning_core.records.mac_counts import counts_of
from pruning_core.records.score import Measure, score_of
from pruning_core.report.run_index import RunIndex
from pruning_core.report.table import RATIO, Column, Row, Table, flags_of, warnings_of

_COLUMNS = (
    RATIO,
    Column("macs", "MACs (G)", "billions", explanation="multiply-adds for one image, in 10⁹"),
    Column(
        "macs_torch_pruning",
        "by torch-pruning (G)",
        "billions",
        explanation="the same, by torch-pruning's own counter, which misreads this network",
    ),
    Column("params", "params (M)", "millions", explanation="number of parameters, in 10⁶"),
    Column("latency_ms", "latency (ms)", "ms", explanation="median time of one call"),
    Column("latency_spread_ms", "±", "ms", explanation="half the interval of the latency, in ms"),
)


def _score_columns(measure: Measure) -> tuple[Column, Column]:
    """Return the columns of a score before and after fine-tuning."""
    name, id, unit, kind = measure.name, "score", measure.arrow, "score"
    if measure.is_accuracy:
        id, unit, kind = "accuracy", "(%)", "percent"
    return (
        Column(f"{id}_pruned", f"{name} pruned {unit}", kind, explanation="before fine-tuning"),
        Column(id, f"fine-tuned {unit}", kind, explanation=f"{name} after fine-tuning"),
    )


def tutorial_tables(index: RunIndex, costs: Mapping[str, Record]) -> Iterator[Table]:
    """Make the tutorial's table for each dataset × model × method × device of a run.

    Args:
        index: The run.
        costs: Key → cost record, of all runs.
    """
    for subject in index.subjects():
        for device in index.devices(subject):
            batch_size = max(index.batch_sizes(subject, device), default=0)
            backend = index.main_backend(subject, device)
            name = " ".join(backend)
            before, after = _score_columns(subject.measure)
            rows: list[Row] = []
            counts_differ = False
            for ratio in index.ratios(subject, device):
                latency = index.latency(subject, ratio, backend, device, batch_size) or {}
                scored = index.scored(subject, ratio, backend, device) or {}
                score = score_of(scored)
                cost = index.cost(subject, ratio) or costs.get(str(latency.get("key")), {})
                row: Row = {"ratio": ratio, "flags": flags_of([r for r in (cost, scored, latency) if r])}
                row |= {name: cost.get(name) for name in ("macs", "macs_torch_pruning", "params", "key")}
                counts_differ |= "macs" in cost and counts_of(cost).differ
                row[after.id] = score.value if score else None
                row[before.id] = score.pruned if score and ratio else None
                row["latency_ms"] = latency.get("latency_ms")
                if {"latency_low_ms", "latency_high_ms"} <= latency.keys():
                    row["latency_spread_ms"] = (latency["latency_high_ms"] - latency["latency_low_ms"]) / 2
                rows.append(row)
            where = f"{subject.title}{f', {device}' if device else ''}"
            notes = (
                f"latency: median of a call with {batch_size} images, {name}; ±: half its 95 % interval."
                if batch_size
                else "no latency was measured.",
                index.provenance(),
            )
            yield Table(
                f"the tutorial's columns: {where}: {index.name}",
                tuple(c for c in (*_COLUMNS, before, after) if counts_differ or c.id != "macs_torch_pruning"),
                tuple(rows),
                warnings_of(index.records_of(subject, device)),
                notes,
            )

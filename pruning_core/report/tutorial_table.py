"""The tutorial's own columns: ratio, MACs, parameters, latency ± spread, accuracy pruned and fine-tuned.

So that a run of the grid `post` can be laid beside what was published.
"""

from collections.abc import Iterator, Mapping

from pruning_core.records.fields import Record
from pruning_core.report.run_index import REFERENCE, RunIndex
from pruning_core.report.tables import RATIO, Column, Row, Table, marks_of, warnings_of

_COLUMNS = (
    RATIO,
    Column("macs", "MACs (G)", "billions"),
    Column("params", "params (M)", "millions"),
    Column("latency_ms", "latency (ms)", "ms"),
    Column("latency_spread_ms", "±", "ms"),
    Column("accuracy_pruned", "accuracy pruned (%)", "percent"),
    Column("accuracy", "fine-tuned (%)", "percent"),
)


def tutorial_tables(index: RunIndex, costs: Mapping[str, Record]) -> Iterator[Table]:
    """Make the tutorial's table for each dataset × model × method × device of a run.

    Args:
        index: The run.
        costs: Key → cost record, of all runs.
    """
    for group in index.groups():
        for device in index.devices(group):
            batch_size = max(index.batch_sizes(group, device), default=0)
            rows: list[Row] = []
            for ratio in index.ratios(group, device):
                latency = index.latency(group, ratio, REFERENCE, device, batch_size) or {}
                accuracy = index.accuracy(group, ratio, REFERENCE, device) or {}
                cost = index.cost(group, ratio) or costs.get(str(latency.get("key")), {})
                row: Row = {"ratio": ratio, "marks": marks_of([r for r in (cost, accuracy, latency) if r])}
                row |= {name: cost.get(name) for name in ("macs", "params", "key")}
                row["accuracy"] = accuracy.get("accuracy")
                row["accuracy_pruned"] = accuracy.get("accuracy_pruned") if ratio else None
                row["latency_ms"] = latency.get("latency_ms")
                if {"latency_low_ms", "latency_high_ms"} <= latency.keys():
                    row["latency_spread_ms"] = (latency["latency_high_ms"] - latency["latency_low_ms"]) / 2
                rows.append(row)
            where = f"{group.model} on {group.dataset}, {group.method}{f', {device}' if device else ''}"
            notes = (
                f"latency: median of a call with {batch_size} images, eager fp32; ±: half its 95 % interval."
                if batch_size
                else "no latency was measured.",
                index.facts(),
            )
            yield Table(
                f"the tutorial's columns: {where}: {index.name}",
                _COLUMNS,
                tuple(rows),
                warnings_of(index.records_of(group, device)),
                notes,
            )

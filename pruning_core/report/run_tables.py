"""The tables of one run: for each dataset × model × method × device a main table, a row a ratio.

Where there are more backends than eager fp32, one of backends; and one of efficiency: how much of the saved
arithmetic became saved time.
"""

from collections.abc import Iterator, Mapping

from pruning_core.records.fields import Record
from pruning_core.records.mac_counts import counts_of
from pruning_core.report.estimate import (
    Estimate,
    latency_of,
    pruned_score_of,
    rejected_share_of,
    score_estimate_of,
    speedup_of,
)
from pruning_core.report.notes import (
    batch_notes,
    coverage_note,
    cut_notes,
    roofline_note,
    run_notes,
    target_notes,
)
from pruning_core.report.run_index import REFERENCE, BackendPrecision, RunIndex
from pruning_core.report.subject import Subject
from pruning_core.report.table import (
    BACKEND,
    RATIO,
    Column,
    Row,
    Table,
    agreement_column,
    drop_empty_columns,
    flags_of,
    pruned_score_column,
    score_column,
    warnings_of,
)

Latencies = dict[int, Record | None]
"""Batch size → latency record."""


def run_tables(index: RunIndex, costs: Mapping[str, Record]) -> Iterator[Table]:
    """Make all tables of one run.

    Args:
        index: The run.
        costs: Key → cost record, of all runs: a key decides what a checkpoint costs.
    """
    for subject in index.subjects():
        for device in index.devices(subject):
            yield _main_table(index, subject, device, costs)
            if any(backend != REFERENCE for backend in index.backends(subject, device)):
                yield _backend_table(index, subject, device)
            if any("mac_efficiency" in record for record in index.records_of(subject, device)):
                yield _efficiency_table(index, subject, device)


def _main_table(index: RunIndex, subject: Subject, device: str, costs: Mapping[str, Record]) -> Table:
    batch_sizes = index.batch_sizes(subject, device)
    backend = index.main_backend(subject, device)
    columns = [
        RATIO,
        Column("macs", "MACs", "macs"),
        Column("macs_torch_pruning", "MACs by torch-pruning", "macs"),
        Column("params", "params", "params"),
        Column("size_bytes", "size", "bytes"),
        Column("sparsity", "sparsity %", "percent"),
        before := pruned_score_column(subject.measure),
        after := score_column(subject.measure),
    ]
    for b in batch_sizes:
        columns += [
            _of_batch("latency_ms", "ms", "ms", b),
            _of_batch("speedup", "speed-up", "factor", b),
            _of_batch("rejected_share", "rejected %", "share", b),
        ]
    rows, counts_differ = [], False
    for ratio in index.ratios(subject, device):
        cost = index.cost(subject, ratio) or {}
        scored = index.scored(subject, ratio, backend, device)
        latencies = _latencies(index, subject, ratio, backend, device)
        records = [r for r in (cost, scored, *latencies.values()) if r]
        row = _start_row(ratio, records)
        cost = cost if "macs" in cost else costs.get(str(row["key"]), cost)
        row |= {name: cost.get(name) for name in ("macs", "macs_torch_pruning", "params", "size_bytes")}
        counts_differ |= "macs" in cost and counts_of(cost).differ
        row["sparsity"] = cost.get("sparsity") or None  # zeros there are only where a method masks
        row[before.id] = pruned_score_of(scored) if ratio else None
        row[after.id] = score_estimate_of(scored)
        for b, record in latencies.items():
            row[f"latency_ms_b{b}"] = latency_of(record)
            row[f"speedup_b{b}"] = _gain(record, ratio, backend)
            row[f"rejected_share_b{b}"] = rejected_share_of(record)
        rows.append(row)
    if not counts_differ:  # one is enough
        columns = [column for column in columns if column.id != "macs_torch_pruning"]
    for b in batch_sizes:  # no round left out in any cell: nothing to tell
        if not any(row[f"rejected_share_b{b}"] for row in rows):
            columns = [column for column in columns if column.id != f"rejected_share_b{b}"]
    device_text = f", {device}" if device else ""
    title = f"{subject.title}{device_text}: {index.name}"
    name = " ".join(backend)
    times = [f"times and speed-ups: {name}, paired with the dense model."] if batch_sizes else []
    found = (*target_notes(index, subject, device), *cut_notes(index, subject, device))
    notes = (*batch_notes(batch_sizes), *times, *found, *run_notes(index, subject, device))
    return _table(title, columns, rows, index.records_of(subject, device), notes)


def _backend_table(index: RunIndex, subject: Subject, device: str) -> Table:
    batch_sizes = index.batch_sizes(subject, device)
    score = score_column(subject.measure)
    columns = [RATIO, BACKEND, score, agreement_column(subject.measure)]
    for b in batch_sizes:
        columns += [
            _of_batch("latency_ms", "ms", "ms", b),
            _of_batch("speedup", "speed-up", "factor", b),
            _of_batch("total_speedup", "total speed-up", "factor", b),
        ]
    rows = []
    for ratio in index.ratios(subject, device):
        for backend in index.backends(subject, device):
            scored = index.scored(subject, ratio, backend, device)
            latencies = _latencies(index, subject, ratio, backend, device)
            records = [r for r in (scored, *latencies.values()) if r]
            if not records:
                continue
            row = _start_row(ratio, records) | {"backend": " ".join(backend)}
            row[score.id] = score_estimate_of(scored)
            row["agreement"] = scored.get("agreement") if scored else None
            for b, record in latencies.items():
                row[f"latency_ms_b{b}"] = latency_of(record)
                row[f"speedup_b{b}"] = speedup_of(record) if ratio else None
                row[f"total_speedup_b{b}"] = index.total_speedup(record) if record else None
            rows.append(row)
    title = f"backends: {subject.title}, {device}: {index.name}"
    coverage = coverage_note(index, subject, device)
    notes = (*batch_notes(batch_sizes), *coverage, *run_notes(index, subject, device))
    return _table(title, columns, rows, index.records_of(subject, device), notes)


def _efficiency_table(index: RunIndex, subject: Subject, device: str) -> Table:
    batch_sizes = index.batch_sizes(subject, device)
    columns = [
        *(RATIO, BACKEND),
        Column("mac_reduction", "MAC reduction ×", "factor"),
        Column("setup_s", "setup s", "ms"),
    ]
    of_batch = (
        ("mac_efficiency", "MAC efficiency %", "share"),
        ("roofline_fraction", "roofline %", "share"),
        ("launch_bound", "launch-bound", "text"),
        ("latency_p50_ms", "p50", "ms"),
        ("latency_p95_ms", "p95", "ms"),
        ("latency_p99_ms", "p99", "ms"),
        ("images_per_s", "images/s", "rate"),
        ("peak_memory_bytes", "memory", "bytes"),
    )
    columns += [_of_batch(*what, b) for b in batch_sizes for what in of_batch]
    rows = []
    for ratio in index.ratios(subject, device):
        for backend in index.backends(subject, device):
            latencies = _latencies(index, subject, ratio, backend, device)
            records = [r for r in latencies.values() if r]
            if not records:
                continue
            row = _start_row(ratio, records) | {"backend": " ".join(backend)}
            row["mac_reduction"] = records[0].get("mac_reduction") if ratio else None
            row["setup_s"] = max((r["setup_s"] for r in records if "setup_s" in r), default=None)
            for b, record in latencies.items():
                row |= {f"{name}_b{b}": record.get(name) if record else None for name, *_ in of_batch}
                if not ratio:
                    row[f"mac_efficiency_b{b}"] = None
                if record and "launch_bound" in record:
                    row[f"launch_bound_b{b}"] = "yes" if record["launch_bound"] else "no"
            rows.append(row)
    title = f"efficiency: {subject.title}, {device}: {index.name}"
    roofline = roofline_note(index, subject, device)
    notes = (*batch_notes(batch_sizes), *roofline, *run_notes(index, subject, device))
    return _table(title, columns, rows, index.records_of(subject, device), notes)


def _of_batch(name: str, word: str, kind: str, batch_size: int) -> Column:
    return Column(f"{name}_b{batch_size}", f"b{batch_size} {word}", kind, group=f"b{batch_size}")


def _latencies(
    index: RunIndex, subject: Subject, ratio: float, backend: BackendPrecision, device: str
) -> Latencies:
    batch_sizes = index.batch_sizes(subject, device)
    return {b: index.latency(subject, ratio, backend, device, b) for b in batch_sizes}


def _start_row(ratio: float, records: list[Record]) -> Row:
    key = next((r["key"] for r in records if "key" in r), "")
    return {"ratio": ratio, "key": key, "flags": flags_of(records)}


def _gain(record: Record | None, ratio: float, backend: BackendPrecision) -> Estimate | None:
    # A dense cell of another backend is paired with dense eager fp32: that is no gain by pruning.
    return speedup_of(record) if ratio or backend == REFERENCE else None


def _table(
    title: str, columns: list[Column], rows: list[Row], records: list[Record], notes: tuple[str, ...]
) -> Table:
    return Table(title, drop_empty_columns(columns, rows), tuple(rows), warnings_of(records), notes)

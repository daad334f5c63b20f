"""The tables of one run, as plain data: exact numbers, no rounding, no layout.

For each dataset × model × method × device there is a main table, a row a ratio; where there are more
backends than eager fp32, a table of backends; and one of why a cell is not faster than it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pruning_core.records.fields import Record
from pruning_core.report.number_format import number_text
from pruning_core.report.run_index import REFERENCE, Estimate, Group, RunIndex, flat_cells
from pruning_core.stats.intervals import wilson_interval

Value = float | int | str | Estimate | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Column:
    """One column: where its values stand in a row, its head, and what kind of number it holds."""

    id: str
    head: str
    kind: str  # a key of `numbers.FORMATS`
    fixed: bool = False  # names the row: repeated where a table is too wide for one page
    group: str = ""  # neighbours of one group stay on one page


@dataclass(frozen=True)
class Table:
    """Rows under columns, with what a reader must know below them."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that a rendering shows."""

    indexes: tuple[RunIndex, ...]
    tables: tuple[Table, ...]

    def cells(self) -> Iterator[dict[str, object]]:
        """Walk over all records, each with every field and where it came from."""
        for index in self.indexes:
            yield from flat_cells(index)


RATIO = Column("ratio", "ratio", "ratio", fixed=True)
BACKEND = Column("backend", "backend", "text", fixed=True)
ACCURACY = Column("accuracy", "accuracy %", "percent")


def run_tables(index: RunIndex, costs: Mapping[str, Record]) -> Iterator[Table]:
    """Make all tables of one run.

    Args:
        index: The run.
        costs: Key → cost record, of all runs: a key decides what a checkpoint costs.
    """
    for group in index.groups():
        for device in index.devices(group):
            yield _main_table(index, group, device, costs)
            if any(backend != REFERENCE for backend in index.backends(group, device)):
                yield _backend_table(index, group, device)
            if any("mac_efficiency" in record for record in index.records_of(group, device)):
                yield _reason_table(index, group, device)


def _main_table(index: RunIndex, group: Group, device: str, costs: Mapping[str, Record]) -> Table:
    batch_sizes = index.batch_sizes(group, device)
    columns = [
        RATIO,
        Column("macs", "MACs", "macs"),
        Column("params", "params", "params"),
        Column("size_bytes", "size", "bytes"),
        Column("sparsity", "zeros %", "percent"),
        Column("accuracy_pruned", "pruned %", "percent"),
        ACCURACY,
    ]
    for b in batch_sizes:
        columns += [
            Column(f"latency_ms_b{b}", f"b{b} ms", "ms", group=f"b{b}"),
            Column(f"speedup_b{b}", f"b{b} speed-up", "factor", group=f"b{b}"),
        ]
    rows = []
    for ratio in index.ratios(group, device):
        cost = index.cost(group, ratio) or {}
        accuracy = index.accuracy(group, ratio, REFERENCE, device)
        latencies = {b: index.latency(group, ratio, REFERENCE, device, b) for b in batch_sizes}
        records = [r for r in (cost, accuracy, *latencies.values()) if r]
        key = next((r["key"] for r in records if "key" in r), "")
        cost = cost if "macs" in cost else costs.get(key, cost)
        row: Row = {"ratio": ratio, "key": key, "marks": marks_of(records)}
        row |= {name: cost.get(name) for name in ("macs", "params", "size_bytes")}
        row["sparsity"] = cost.get("sparsity") or None  # zeros there are only where a method masks
        row["accuracy_pruned"] = _pruned_accuracy(accuracy) if ratio else None
        row["accuracy"] = accuracy_of(accuracy)
        for b, record in latencies.items():
            row[f"latency_ms_b{b}"] = latency_of(record)
            row[f"speedup_b{b}"] = speedup_of(record)
        rows.append(row)
    title = f"{group.model} on {group.dataset}, {group.method}{f', {device}' if device else ''}: {index.name}"
    notes = [_legend(batch_sizes, rows), *_footer(index, group, device)]
    return Table(
        title, _filled(columns, rows), tuple(rows), warnings_of(index.records_of(group, device)), tuple(notes)
    )


def _backend_table(index: RunIndex, group: Group, device: str) -> Table:
    batch_sizes = index.batch_sizes(group, device)
    columns = [RATIO, BACKEND, ACCURACY, Column("agreement", "agree %", "percent")]
    for b in batch_sizes:
        columns += [
            Column(f"latency_ms_b{b}", f"b{b} ms", "ms", group=f"b{b}"),
            Column(f"speedup_b{b}", f"b{b} ×dense", "factor", group=f"b{b}"),
            Column(f"total_speedup_b{b}", f"b{b} total", "factor", group=f"b{b}"),
        ]
    rows = []
    for ratio in index.ratios(group, device):
        for backend in index.backends(group, device):
            accuracy = index.accuracy(group, ratio, backend, device)
            latencies = {b: index.latency(group, ratio, backend, device, b) for b in batch_sizes}
            records = [r for r in (accuracy, *latencies.values()) if r]
            if not records:
                continue
            row: Row = {"ratio": ratio, "backend": " ".join(backend), "marks": marks_of(records)}
            row["key"] = next((r["key"] for r in records if "key" in r), "")
            row["accuracy"] = accuracy_of(accuracy)
            row["agreement"] = accuracy.get("agreement") if accuracy else None
            for b, record in latencies.items():
                row[f"latency_ms_b{b}"] = latency_of(record)
                # A dense cell is paired with dense eager fp32: that is its total, not a gain by pruning.
                row[f"speedup_b{b}"] = speedup_of(record) if ratio else None
                row[f"total_speedup_b{b}"] = index.total_speedup(record) if record else None
            rows.append(row)
    title = f"backends: {group.model} on {group.dataset}, {group.method}, {device}: {index.name}"
    notes = (
        "×dense: speed-up over the dense model on the same backend. total: over dense eager fp32, the "
        f"product of the two speed-ups of its chain{_coverage_of_totals(index, group, device)}.",
        "agree: test images with the same answer as eager fp32 of the same checkpoint.",
        *_footer(index, group, device),
    )
    return Table(
        title, _filled(columns, rows), tuple(rows), warnings_of(index.records_of(group, device)), notes
    )


def _reason_table(index: RunIndex, group: Group, device: str) -> Table:
    batch_sizes = index.batch_sizes(group, device)
    columns = [RATIO, BACKEND, Column("mac_reduction", "MACs ÷", "factor"), Column("setup_s", "load s", "ms")]
    for b in batch_sizes:
        columns += [
            Column(f"mac_efficiency_b{b}", f"b{b} used", "share"),
            Column(f"roofline_fraction_b{b}", f"b{b} roof", "share"),
            Column(f"launch_bound_b{b}", f"b{b} launch", "text"),
            Column(f"latency_p50_ms_b{b}", f"b{b} p50", "ms"),
            Column(f"latency_p95_ms_b{b}", f"b{b} p95", "ms"),
            Column(f"latency_p99_ms_b{b}", f"b{b} p99", "ms"),
            Column(f"images_per_s_b{b}", f"b{b} images/s", "rate"),
            Column(f"peak_memory_bytes_b{b}", f"b{b} memory", "bytes"),
        ]
    rows = []
    for ratio in index.ratios(group, device):
        for backend in index.backends(group, device):
            latencies = {b: index.latency(group, ratio, backend, device, b) for b in batch_sizes}
            records = [r for r in latencies.values() if r]
            if not records:
                continue
            row: Row = {"ratio": ratio, "backend": " ".join(backend), "marks": marks_of(records)}
            row["key"] = next((r["key"] for r in records if "key" in r), "")
            row["mac_reduction"] = records[0].get("mac_reduction") if ratio else None
            row["setup_s"] = max((r["setup_s"] for r in records if "setup_s" in r), default=None)
            for b, record in latencies.items():
                for name in ("roofline_fraction", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms"):
                    row[f"{name}_b{b}"] = record.get(name) if record else None
                for name in ("images_per_s", "peak_memory_bytes"):
                    row[f"{name}_b{b}"] = record.get(name) if record else None
                row[f"mac_efficiency_b{b}"] = record.get("mac_efficiency") if record and ratio else None
                if record and "launch_bound" in record:
                    row[f"launch_bound_b{b}"] = "yes" if record["launch_bound"] else "no"
            rows.append(row)
    notes = (
        "MACs ÷: how many times fewer than dense. used: speed-up over dense on the same backend, in percent "
        "of that; 100 means that every MAC saved is time saved.",
        "roof: least time by this machine's own ceilings, in percent of the time it takes; over 100 where a "
        "kernel skips work that is counted, such as padding. p50, p95, p99: ms of single calls.",
        "load s: seconds to export, compile or quantize the model, the slowest of its batch sizes.",
        *_ceilings(index, group, device),
        *_footer(index, group, device),
    )
    title = f"why not faster: {group.model} on {group.dataset}, {group.method}, {device}: {index.name}"
    return Table(
        title, _filled(columns, rows), tuple(rows), warnings_of(index.records_of(group, device)), notes
    )


def _ceilings(index: RunIndex, group: Group, device: str) -> Iterator[str]:
    found = {
        (r["precision"], r["threads"]): (r["peak_gflops"], r["bandwidth_gb_s"])
        for r in index.records_of(group, device)
        if {"precision", "threads", "peak_gflops", "bandwidth_gb_s"} <= r.keys()
    }
    if found:
        parts = (f"{p} {flops:.0f} GFLOP/s, {gb:.0f} GB/s" for (p, _), (flops, gb) in sorted(found.items()))
        yield f"ceilings measured in this run: {'; '.join(parts)}."


def texts_of(row: Row, column: Column) -> tuple[str, str]:
    """Print a value of a row: the number with the row's marks, and its interval; empty if it has none."""
    number, interval = number_text(row.get(column.id), column.kind)
    if column.id == "ratio" and row.get("marks"):
        number = f"{number} {row['marks']}"
    return number, interval


def accuracy_of(record: Record | None) -> Estimate | None:
    """Return the accuracy in a record with its Wilson interval, if it is there."""
    return estimate_of(record, "accuracy", "accuracy_low", "accuracy_high")


def latency_of(record: Record | None) -> Estimate | None:
    """Return the latency in a record with the bounds of its median, if it is there."""
    return estimate_of(record, "latency_ms", "latency_low_ms", "latency_high_ms")


def speedup_of(record: Record | None) -> Estimate | None:
    """Return the speed-up over the reference with its bounds; none for an A/A control, which has no gain."""
    if record and record.get("is_control"):
        return None
    return estimate_of(record, "speedup", "speedup_low", "speedup_high")


def estimate_of(record: Record | None, value: str, low: str, high: str) -> Estimate | None:
    """Return a field of a record with its bounds, if it is there."""
    if not record or value not in record:
        return None
    return Estimate(record[value], record.get(low), record.get(high))


def _pruned_accuracy(record: Record | None) -> Estimate | None:
    if not record or "accuracy_pruned" not in record:
        return None
    value, n = record["accuracy_pruned"], record.get("accuracy_n")
    return Estimate(value, *(wilson_interval(round(value * n), n) if n else (None, None)))


def marks_of(records: Iterable[Record]) -> str:
    """Return a sign for each thing that a reader of these records must know; `warnings_of` says what."""
    marks = {"†" for r in records if r.get("exhausted")} | {"✗" for r in records if r["status"] == "failed"}
    marks |= {"~" for r in records if r.get("contaminated")}
    return "".join(sorted(marks))


def warnings_of(records: list[Record]) -> tuple[str, ...]:
    """Say in words what a reader of these records must know."""
    lines = [
        f"✗ failed: {r['suite']}/{r['cell']}: {' '.join(str(r.get('failure') or 'no reason given').split())}"
        for r in records
        if r["status"] == "failed"
    ]
    if any(r.get("contaminated") for r in records):
        lines.append(
            "~ contaminated: the A/A control of this run left its tolerance, or the machine was disturbed; "
            "these times are not to be trusted"
        )
        reasons = dict.fromkeys(r["contention"] for r in records if r.get("contention"))
        lines += [f"~ while timing: {reason}" for reason in reasons]
    if any(r.get("exhausted") for r in records):
        lines.append("† exhausted: this step removed nothing that the one before had not")
    return tuple(lines)


def _filled(columns: Iterable[Column], rows: list[Row]) -> tuple[Column, ...]:
    return tuple(c for c in columns if c.fixed or any(row.get(c.id) is not None for row in rows))


def _legend(batch_sizes: list[int], rows: list[Row]) -> str:
    pruned = ["pruned: accuracy before fine-tuning"] if any(r["accuracy_pruned"] for r in rows) else []
    times = ["times and speed-ups: eager fp32, paired with the dense model"] if batch_sizes else []
    batches = [f"b{b}: {b} image{'s' if b > 1 else ''} a call" for b in batch_sizes]
    return "; ".join(["ratio: fraction of channels removed", *pruned, *batches, *times]) + "."


def _coverage_of_totals(index: RunIndex, group: Group, device: str) -> str:
    reached = [r["confidence"] for r in index.records_of(group, device) if "confidence" in r]
    if not reached:
        return ""
    # Both intervals hold unless either misses: at most the sum of the two chances.
    return f"; its interval covers with at least {max(1 - 2 * (1 - min(reached)), 0):.1%}"


def _footer(index: RunIndex, group: Group, device: str) -> Iterator[str]:
    records = index.records_of(group, device)
    facts = [index.facts()]
    facts += _range_of(records, "threads", "{} threads")
    facts += _range_of(records, "rounds", "{} rounds")
    facts += _range_of(records, "fork_join_us", "work handed over between cores in {} µs", digits=1)
    facts += _range_of(records, "accuracy_n", "{} test images")
    reached = [r["confidence"] for r in records if "confidence" in r]
    if reached:
        facts.append(f"speed-up intervals cover {min(reached):.1%}, accuracy intervals 95.0% (Wilson)")
    yield " · ".join(facts)
    settings = [
        _range_of(records, name, f"{name} {{}}") for name in ("schedule", "scope", "round_to", "seed")
    ]
    keys: dict[float, str] = {r["ratio"]: r["key"] for r in records if "ratio" in r and "key" in r}
    short = ", ".join(f"{f'{ratio:g}' if ratio else 'dense'} {keys[ratio][:8]}" for ratio in sorted(keys))
    yield " · ".join([*(text for item in settings for text in item), *([f"keys: {short}"] if short else [])])


def _range_of(records: list[Record], name: str, form: str, digits: int | None = None) -> list[str]:
    found = (r[name] for r in records if name in r)
    values = sorted(set(found) if digits is None else {round(value, digits) for value in found})
    if not values:
        return []
    text = str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return [form.format(text)]

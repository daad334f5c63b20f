"""The points of the page's charts and of its table of cells: one for each latency cell, column by column.

By columns, because a page of 100,000 points that repeats names and texts in each would be too long to open.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pruning_core.records.cuts import explain_whole
from pruning_core.records.fields import FIELDS, Record
from pruning_core.records.score import ACCURACY, Measure, score_of
from pruning_core.report.cells import origin_of
from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import number_text
from pruning_core.report.recommendation.candidates import Candidate, candidates_of
from pruning_core.report.table import Column, Report, flags_of, score_column

_BEFORE = (
    Column("model", "model", "text"),
    Column("dataset", "dataset", "text"),
    Column("method", "method", "text"),
    Column("ratio", "ratio", "ratio"),
    Column("backend", "backend", "text"),
    Column("target", "device", "text"),
    Column("batch", "batch", "count"),
)
_AFTER = (
    Column("latency", "ms", "ms"),
    Column("speedup", "speed-up", "factor"),
    Column("total", "total speed-up", "factor"),
    Column("macs", "MACs", "macs"),
    Column("params", "params", "params"),
    Column("size_bytes", "size", "bytes"),
)
COLUMNS = (*_BEFORE, score_column(ACCURACY, id="score"), *_AFTER)
"""Of the table of cells of classifications; `id` names the value of a point."""

_OF_SEVERAL = (
    Column("scored", "score", "text", explanation="what is scored; an arrow points to the better values"),
    Column("score", "value", "score", explanation="of that score, on all test examples [95 % interval]"),
)

_OF_RECORD = {
    "model": "model",
    "method": "method",
    "ratio": "ratio",
    "batch": "batch_size",
    "latency": "latency_ms",
    "latency_low": "latency_low_ms",
    "latency_high": "latency_high_ms",
    "mac_reduction": "mac_reduction",
    "contaminated": "contaminated",
    "status": "status",
    "cell": "cell",
}
"""Value of a point → field of its record."""

_HIDDEN = {"correct_bits", "log_ratios", "widths", "dense_widths", "schema_version", "dataset_fingerprint"}
"""Too long, or of no use, for a note beside a point."""

Values = list[Any]


def measures_in(report: Report) -> list[Measure]:
    """Return what is scored of the points of a report; where it has none, what its tables score."""
    found = {
        index.subject_of(record).measure: None
        for index in report.indexes
        for record in index.run.records
        if record["suite"] == "latency"
    }
    others = (subject.measure for index in report.indexes for subject in index.subjects())
    return list(found or dict.fromkeys(others)) or [ACCURACY]


def columns_of(measures: Sequence[Measure]) -> tuple[Column, ...]:
    """Return the columns of the table of cells: that of the score, or of several what it is and its value."""
    if len(measures) > 1:
        return (*_BEFORE, *_OF_SEVERAL, *_AFTER)
    return (*_BEFORE, score_column(measures[0], id="score"), *_AFTER)


def point_columns(report: Report, measures: Sequence[Measure]) -> dict[str, object]:
    """Return the points of a report, for JSON.

    Args:
        report: What `build_report` made.
        measures: What `measures_in` found there.

    Returns:
        `count`; `values`, exact; `shown`, those of `columns_of` as people read them, numbers and intervals
        apart; `facts`, the fields of the record as text. Each is name → column: a list with an item a point,
        or `texts` and `at`, which text a point has, where few texts come again and again.
    """
    sources = list(candidates_of(report.indexes))
    values = dict(_values(sources, measures, several=len(report.files) > 1))
    flags = [flags_of([source.record]) for source in sources]
    shown = {column.id: _shown(values, column) for column in columns_of(measures)}
    kinds = [score_column(source.measure).kind for source in sources]
    shown["score"] = _shown(values, score_column(measures[0], id="score"), kinds)
    numbers, intervals = shown["ratio"]
    shown["ratio"] = ([" ".join(filter(None, pair)) for pair in zip(numbers, flags, strict=True)], intervals)
    return {
        "count": len(sources),
        "values": {name: _packed(items) for name, items in values.items()},
        "shown": {
            name: [_packed(numbers), _packed(intervals)] for name, (numbers, intervals) in shown.items()
        },
        "facts": {name: _packed(items) for name, items in _facts(sources) if any(items)},
    }


def _values(
    sources: Sequence[Candidate], measures: Sequence[Measure], several: bool
) -> Iterator[tuple[str, Values]]:
    for name, field in _OF_RECORD.items():
        yield name, [_finite(source.record.get(field)) for source in sources]
    datasets = [source.index.dataset_of(source.record) for source in sources]
    yield "dataset", datasets
    scores = [score_of(source.record) for source in sources]
    for name, bound in (("score", "value"), ("score_low", "low"), ("score_high", "high")):
        yield name, [getattr(score, bound, None) for score in scores]
    numbers = {measure: number for number, measure in enumerate(measures)}
    yield "measure", [numbers[source.measure] for source in sources]
    yield "scored", [source.measure.heading for source in sources]
    for name in ("speedup", "speedup_low", "speedup_high"):
        # A control has no gain, and its reference is itself.
        yield name, [None if s.record.get("is_control") else _finite(s.record.get(name)) for s in sources]
    for name in ("macs", "params", "size_bytes"):
        yield name, [source.cost.get(name) for source in sources]
    for name, bound in (("total", "value"), ("total_low", "low"), ("total_high", "high")):
        yield name, [_finite(getattr(source.total, bound)) if source.total else None for source in sources]
    yield "group", [source.index.subject_of(source.record).network_title for source in sources]
    backends = [f"{s.record.get('backend')} {s.record.get('precision')}" for s in sources]
    targets = list(_targets(sources, several))
    yield "backend", backends
    yield "file", [s.index.file for s in sources]
    yield from _of_recommendation(sources)
    yield "target", targets
    yield "title", list(map(_title, (s.record for s in sources), backends, targets))


def _of_recommendation(sources: Sequence[Candidate]) -> Iterator[tuple[str, Values]]:
    """Return what `rule.js` goes by beside score, latency and size (`report/recommendation/ranking.py`)."""
    yield "lost", [s.drop.value if s.drop else None for s in sources]
    yield "lost_high", [s.drop.high if s.drop else None for s in sources]
    yield "expected_bytes", [s.expected_bytes for s in sources]
    yield "reference", [s.is_reference for s in sources]
    # Numbers stand for what is alike: cells of one machine, one cell measured again, one but for its seed.
    yield (
        "machine",
        _numbered([(s.machine, s.record.get("device"), s.record.get("threads")) for s in sources]),
    )
    yield "identity", _numbered([s.identity for s in sources])
    yield "design", _numbered([s.design for s in sources])
    yield "seed", [s.record.get("seed") for s in sources]


def _targets(sources: Sequence[Candidate], several: bool) -> Iterator[str]:
    """Walk over what times are of: device, threads where a file has several numbers of them, file."""
    threads: dict[int, set[object]] = {}
    for s in sources:
        threads.setdefault(id(s.index), set()).add(s.record.get("threads"))
    for s in sources:
        of_threads = f", {s.record.get('threads')} threads" if len(threads[id(s.index)]) > 1 else ""
        yield f"{s.record.get('device')}{of_threads}{f', {s.index.name}' if several else ''}"


def _numbered(items: Sequence[object]) -> Values:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(item, len(numbers)) for item in items]


def _title(record: Record, backend: str, target: str) -> str:
    method = "" if record.get("method") == "dense" else f"{record.get('method')} "
    ratio = number_text(record["ratio"], "ratio")[0] if "ratio" in record else ""
    return f"{method}{ratio}, {backend}, {target}, batch {record.get('batch_size')}"


def _shown(
    values: dict[str, Values], column: Column, kinds: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    name, empty = column.id, [None] * len(values[column.id])
    bounds = (values.get(f"{name}_low", empty), values.get(f"{name}_high", empty))
    texts = [
        number_text(value if value is None or low is None else Estimate(value, low, high), kind)
        for value, low, high, kind in zip(
            values[name], *bounds, kinds or [column.kind] * len(empty), strict=True
        )
    ]
    return [number for number, _ in texts], [interval for _, interval in texts]


def _facts(sources: Sequence[Candidate]) -> Iterator[tuple[str, list[str]]]:
    origins = {id(s.index): origin_of(s.index) for s in sources}
    for name in next(iter(origins.values()), {}):
        yield name, [origins[id(s.index)][name] for s in sources]
    for field in FIELDS:
        if field.name not in _HIDDEN:
            yield field.name, [_fact(s.record.get(field.name)) for s in sources]
    for name, bound in (
        ("total_speedup", "value"),
        ("total_speedup_low", "low"),
        ("total_speedup_high", "high"),
    ):
        yield name, [_fact(getattr(s.total, bound, None)) for s in sources]


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(explain_whole(value))
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _packed(values: Values) -> object:
    """Return a column, or its texts, each once, and where they stand, if that is shorter."""
    if not any(isinstance(value, str) for value in values):
        return values
    targets: dict[str, int] = {}
    at = [targets.setdefault(value, len(targets)) for value in values]
    return {"texts": list(targets), "at": at} if len(targets) < len(values) / 2 else values

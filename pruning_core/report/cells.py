"""Cells for programs: every field of every record, or one row for each cell with all that is known of it."""

from collections.abc import Iterable, Iterator, Sequence

from pruning_core.records.fields import FIELDS, SCORE_FIELDS, Record
from pruning_core.records.run import Run
from pruning_core.report.run_index import VERSIONS, RunIndex

Cell = dict[str, object]


def costs_by_key(runs: Iterable[Run]) -> dict[str, Record]:
    """Return key → cost record over several runs: a key decides what a checkpoint costs, wherever it is."""
    return {
        r["key"]: r
        for run in runs
        for r in run.records
        if r["suite"] == "cost" and "key" in r and "macs" in r
    }


def origin_of(index: RunIndex) -> dict[str, str]:
    """Return where the records of a run came from."""
    run = index.run
    return {
        "file": run.path.name,
        "machine": run.machine_name,
        "machine_fingerprint": str(run.machine.get("fingerprint", "")),
        **{name: str(run.machine.get(name, "")) for name in VERSIONS},
        "date": run.datetime,
        "commit": run.commit,
    }


def flat_cells(index: RunIndex) -> Iterator[Cell]:
    """Walk over a run's records with every field, exact, and where each came from."""
    origin = origin_of(index)
    # Of classifications alone, a cell has no field of other tasks.
    scored = any("score" in record for record in index.run.records)
    absent = dict.fromkeys(field.name for field in FIELDS if scored or field.name not in SCORE_FIELDS)
    for record in index.run.records:
        yield {**origin, **absent, **record, **_total(index, record)}


def joined_cells(indexes: Sequence[RunIndex]) -> Iterator[Cell]:
    """Walk over cells, each with the fields of its latency, accuracy and cost records.

    A record without a latency cell, such as the cost of a checkpoint that was not timed, stands alone with
    what is known of it. Where several records hold a field, the most special one counts: latency, then
    accuracy, then cost. `suite` names those that were joined.
    """
    everywhere = costs_by_key(index.run for index in indexes)
    for index in indexes:
        origin = origin_of(index)
        costs = everywhere | costs_by_key([index.run])
        used: set[int] = set()
        suites = dict.fromkeys(("latency", "accuracy", "cost", *(r["suite"] for r in index.run.records)))
        for suite in suites:
            for record in index.run.records:
                if record["suite"] != suite or id(record) in used:
                    continue
                accuracy = index.accuracy_beside(record) if suite == "latency" else None
                cost = costs.get(str(record.get("key"))) if suite in ("latency", "accuracy") else None
                records = [found for found in (record, accuracy, cost) if found]
                used.update(map(id, records))
                yield {**origin, **_join(records), **_total(index, record)}


def told_fields(indexes: Sequence[RunIndex]) -> list[str]:
    """Return the fields of `joined_cells` that hold something in any of them, in their order."""
    told: set[str] = set()
    for index in indexes:
        told.update(name for name, text in origin_of(index).items() if text)
        for record in index.run.records:
            told.update(name for name in record.keys() - told if record[name] not in (None, ""))
            if record["suite"] == "latency" and not told.issuperset(_TOTALS):
                told.update(name for name, value in _total(index, record).items() if value is not None)
    names = (*origin_of(indexes[0]), *(field.name for field in FIELDS), *_TOTALS)
    return [name for name in names if name in told]


def _join(records: list[Record]) -> Cell:
    joined: Cell = {}
    for record in reversed(records):
        joined |= record
    joined["suite"] = " ".join(record["suite"] for record in records)
    joined["status"] = "failed" if any(record["status"] == "failed" for record in records) else "ok"
    joined["failure"] = "; ".join(str(record["failure"]) for record in records if record.get("failure"))
    joined["exhausted"] = any(record.get("exhausted") for record in records)
    return joined


def _total(index: RunIndex, record: Record) -> Cell:
    total = index.total_speedup(record) if record["suite"] == "latency" else None
    return dict(zip(_TOTALS, (total.value, total.low, total.high) if total else (None,) * 3, strict=True))


_TOTALS = ("total_speedup", "total_speedup_low", "total_speedup_high")

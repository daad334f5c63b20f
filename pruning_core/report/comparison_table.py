"""Several machines, devices or runs side by side: the same cells, a pair of columns for each."""

from collections.abc import Iterator, Sequence

from pruning_core.report.run_index import Group, RunIndex
from pruning_core.report.tables import BACKEND, RATIO, Column, Row, Table, latency_of

Place = tuple[RunIndex, str]  # a run and a device


def comparison_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each dataset × model × method that was timed in more than one place.

    Args:
        indexes: The runs.
    """
    for group in dict.fromkeys(group for index in indexes for group in index.groups()):
        places = [
            (index, device)
            for index in indexes
            if group in set(index.groups())
            for device in index.devices(group)
            if index.batch_sizes(group, device)
        ]
        if len(places) > 1:
            yield _side_by_side(group, places)


def _side_by_side(group: Group, places: list[Place]) -> Table:
    columns = [RATIO, BACKEND, Column("batch_size", "batch", "count", fixed=True)]
    letters = [_letter(number) for number in range(len(places))]
    for letter in letters:
        columns.append(Column(f"latency_ms_{letter}", f"{letter} ms", "ms", group=letter))
        columns.append(Column(f"total_speedup_{letter}", f"{letter} speed-up", "factor", group=letter))
    rows: dict[tuple[float, str, int], Row] = {}
    for letter, (index, device) in zip(letters, places, strict=True):
        for ratio in index.ratios(group, device):
            for backend in index.backends(group, device):
                for batch_size in index.batch_sizes(group, device):
                    record = index.latency(group, ratio, backend, device, batch_size)
                    if record is None:
                        continue
                    name = " ".join(backend)
                    empty: Row = {"ratio": ratio, "backend": name, "batch_size": batch_size, "marks": ""}
                    row = rows.setdefault((ratio, name, batch_size), empty)
                    row[f"latency_ms_{letter}"] = latency_of(record)
                    row[f"total_speedup_{letter}"] = index.total_speedup(record)
    backends = list(dict.fromkeys(name for _, name, _ in rows))
    ordered = sorted(rows, key=lambda place: (place[0], backends.index(place[1]), place[2]))
    spoiled = tuple(
        f"~ contaminated: times of {letter} are not to be trusted, its A/A control left the tolerance"
        for letter, (index, device) in zip(letters, places, strict=True)
        if any(record.get("contaminated") for record in index.records_of(group, device))
    )
    legend = [
        f"{letter}: {device}, {index.facts()}"
        for letter, (index, device) in zip(letters, places, strict=True)
    ]
    return Table(
        title=f"side by side: {group.model} on {group.dataset}, {group.method}",
        columns=tuple(columns),
        rows=tuple(rows[place] for place in ordered),
        warnings=spoiled,
        notes=(*legend, "speed-up: over dense eager fp32 of the same place and batch size."),
    )


def _letter(number: int) -> str:
    """Count A, B, …, Z, AA, AB, …."""
    tens, ones = divmod(number, 26)
    return (_letter(tens - 1) if tens else "") + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[ones]

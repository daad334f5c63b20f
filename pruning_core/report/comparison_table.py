"""Several machines, devices or runs side by side: the same cells, a pair of columns for each."""

from collections.abc import Iterator, Sequence

from pruning_core.report.estimate import latency_of
from pruning_core.report.run_index import RunIndex
from pruning_core.report.subject import Subject
from pruning_core.report.table import BACKEND, RATIO, Column, Row, Table

Target = tuple[RunIndex, str]
"""A run and one of its devices."""

MAX_NAMED = 4
"""Targets that a title names; the notes name all."""


def comparison_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each dataset × model × method that was timed on more than one target.

    Args:
        indexes: The runs.
    """
    targets_of: dict[Subject, list[Target]] = {}
    for index in indexes:
        for subject in index.subjects():
            targets_of.setdefault(subject, []).extend(
                (index, device) for device in index.devices(subject) if index.batch_sizes(subject, device)
            )
    for subject, targets in targets_of.items():
        if len(targets) > 1:
            yield _side_by_side(subject, targets)


def _side_by_side(subject: Subject, targets: list[Target]) -> Table:
    columns = [RATIO, BACKEND, Column("batch_size", "batch", "count", fixed=True)]
    letters = [_letter(number) for number in range(len(targets))]
    for letter in letters:
        columns.append(Column(f"latency_ms_{letter}", f"{letter} ms", "ms", group=letter))
        columns.append(
            Column(
                f"total_speedup_{letter}",
                f"{letter} total speed-up",
                "factor",
                group=letter,
                explanation="over dense eager fp32 of the same file, device and batch size [interval]",
            )
        )
    rows: dict[tuple[float, str, int], Row] = {}
    for letter, (index, device) in zip(letters, targets, strict=True):
        for ratio in index.ratios(subject, device):
            for backend in index.backends(subject, device):
                for batch_size in index.batch_sizes(subject, device):
                    record = index.latency(subject, ratio, backend, device, batch_size)
                    if record is None:
                        continue
                    name = " ".join(backend)
                    empty: Row = {"ratio": ratio, "backend": name, "batch_size": batch_size, "flags": ""}
                    row = rows.setdefault((ratio, name, batch_size), empty)
                    row[f"latency_ms_{letter}"] = latency_of(record)
                    row[f"total_speedup_{letter}"] = index.total_speedup(record)
    backends = list(dict.fromkeys(name for _, name, _ in rows))
    ordered = sorted(rows, key=lambda cell: (cell[0], backends.index(cell[1]), cell[2]))
    untrusted = tuple(
        f"~ contaminated: times of {letter} are not to be trusted, its A/A control left the tolerance"
        for letter, (index, device) in zip(letters, targets, strict=True)
        if any(record.get("contaminated") for record in index.records_of(subject, device))
    )
    named = [
        f"{letter} {_short_name(target, targets)}" for letter, target in zip(letters, targets, strict=True)
    ]
    more = [f"{len(named) - MAX_NAMED} more"] if len(named) > MAX_NAMED else []
    return Table(
        title=f"side by side: {subject.title}: " + " · ".join(named[:MAX_NAMED] + more),
        columns=tuple(columns),
        rows=tuple(rows[cell] for cell in ordered),
        warnings=untrusted,
        notes=tuple(
            f"{letter}: {device}, {index.file}, {index.provenance()}"
            for letter, (index, device) in zip(letters, targets, strict=True)
        ),
    )


def _short_name(target: Target, targets: list[Target]) -> str:
    """Return what tells a target from the others: its file, its device, or both."""
    index, device = target
    files = {id(other) for other, _ in targets}
    if len(files) == 1:
        return device
    alone = sum(other is index for other, _ in targets) == 1
    return index.file if alone else f"{index.file} {device}"


def _letter(number: int) -> str:
    """Count A, B, …, Z, AA, AB, …."""
    tens, ones = divmod(number, 26)
    return (_letter(tens - 1) if tens else "") + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[ones]

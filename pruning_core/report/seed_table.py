"""The spread over seeds: files whose checkpoints differ by nothing but the seed of their training.

One seed's accuracy says little about another's; a claim of a point or two needs several.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pruning_core.report.run_index import REFERENCE, RunIndex, Subject
from pruning_core.report.table import RATIO, Column, Row, Table

_COLUMNS = (
    RATIO,
    Column("seeds", "seeds", "count", explanation="how many were trained"),
    Column("mean", "accuracy %, mean", "percent", explanation="over the seeds, after fine-tuning"),
    Column("deviation", "std dev (points)", "percent", explanation="standard deviation between seeds"),
    Column("lowest", "lowest", "percent", explanation="accuracy % of the worst seed"),
    Column("highest", "highest", "percent", explanation="accuracy % of the best seed"),
)
_NEEDED = ("ratio", "seed", "accuracy", "accuracy_n")


def seed_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each dataset × model × method that several seeds have been trained for.

    Args:
        indexes: The runs.
    """
    for subject in dict.fromkeys(subject for index in indexes for subject in index.subjects()):
        found = list(_accuracies(indexes, subject))
        seeds = sorted({values["seed"] for values in found})
        if len(seeds) > 1:
            yield _table(subject, seeds, found)


def _table(subject: Subject, seeds: list[int], found: list[dict[str, Any]]) -> Table:
    import pandas as pd  # half a second, which only these tables and CSV are worth

    # A seed that several files hold counts once.
    frame = pd.DataFrame(found).drop_duplicates(["ratio", "seed"])
    by_ratio = frame.groupby("ratio")["accuracy"].agg(["count", "mean", "std", "min", "max"])
    rows: list[Row] = [
        {
            "ratio": float(ratio),
            "flags": "",
            "seeds": int(count),
            "mean": float(mean),
            "deviation": float(deviation) if count > 1 else None,
            "lowest": float(lowest),
            "highest": float(highest),
        }
        for ratio, count, mean, deviation, lowest, highest in by_ratio.itertuples()
    ]
    test_images = " or ".join(map(str, sorted(frame["accuracy_n"].unique())))
    backends = " or ".join(frame["backend"].unique())
    note = f"seeds {', '.join(map(str, seeds))}; {backends}, {test_images} test images."
    title = f"over seeds: {subject.model} on {subject.dataset}, {subject.method}"
    return Table(title, _COLUMNS, tuple(rows), (), (note,))


def _accuracies(indexes: Sequence[RunIndex], subject: Subject) -> Iterator[dict[str, Any]]:
    for index in indexes:
        if not index.has(subject):
            continue
        for device in index.devices(subject):
            backends = dict.fromkeys((REFERENCE, index.main_backend(subject, device)))
            for ratio in index.ratios(subject, device):
                for backend in backends:
                    record = index.accuracy(subject, ratio, backend, device)
                    if record and record.keys() >= set(_NEEDED):
                        yield {name: record[name] for name in _NEEDED} | {"backend": " ".join(backend)}
                        break

"""The spread over seeds: files whose checkpoints differ by nothing but the seed of their training.

One seed's accuracy says little about another's; a claim of a point or two needs several.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from pruning_core.records.fields import Record
from pruning_core.report.run_index import REFERENCE, Group, RunIndex
from pruning_core.report.tables import RATIO, Column, Row, Table

_COLUMNS = (
    RATIO,
    Column("seeds", "seeds", "count"),
    Column("mean", "accuracy %, mean", "percent"),
    Column("deviation", "deviation, points", "percent"),
    Column("lowest", "lowest", "percent"),
    Column("highest", "highest", "percent"),
)


def seed_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each dataset × model × method that several seeds have been trained for.

    Args:
        indexes: The runs.
    """
    for group in dict.fromkeys(group for index in indexes for group in index.groups()):
        by_ratio: dict[float, dict[int, Record]] = {}
        for record in _accuracies(indexes, group):
            # A seed that several files hold counts once.
            by_ratio.setdefault(record["ratio"], {}).setdefault(record["seed"], record)
        seeds = sorted({seed for found in by_ratio.values() for seed in found})
        if len(seeds) < 2:
            continue
        rows: list[Row] = []
        for ratio in sorted(by_ratio):
            values = [record["accuracy"] for record in by_ratio[ratio].values()]
            row: Row = {"ratio": ratio, "marks": "", "seeds": len(values), "mean": fmean(values)}
            row["deviation"] = stdev(values) if len(values) > 1 else None
            rows.append(row | {"lowest": min(values), "highest": max(values)})
        test_images = sorted({r["accuracy_n"] for found in by_ratio.values() for r in found.values()})
        notes = (
            f"seeds {', '.join(map(str, seeds))}; accuracy after fine-tuning, eager fp32, "
            f"{' or '.join(map(str, test_images))} test images; standard deviation between seeds.",
        )
        title = f"over seeds: {group.model} on {group.dataset}, {group.method}"
        yield Table(title, _COLUMNS, tuple(rows), (), notes)


def _accuracies(indexes: Sequence[RunIndex], group: Group) -> Iterator[Record]:
    for index in indexes:
        if group not in set(index.groups()):
            continue
        for device in index.devices(group):
            for ratio in index.ratios(group, device):
                record = index.accuracy(group, ratio, REFERENCE, device)
                if record and {"accuracy", "accuracy_n", "seed", "ratio"} <= record.keys():
                    yield record

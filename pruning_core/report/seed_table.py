"""The spread over seeds: files whose checkpoints differ by nothing but the seed of their training.

One seed's score says little about another's; a claim of a point or two needs several.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pruning_core.records.score import Measure, score_of
from pruning_core.report.design import How, differing, how_of, of_dense, words_of
from pruning_core.report.run_index import REFERENCE, RunIndex
from pruning_core.report.subject import Subject
from pruning_core.report.table import RATIO, Column, Row, Table, failure_of


def _columns(measure: Measure) -> tuple[Column, ...]:
    kind, unit = ("percent", " (points)") if measure.is_accuracy else ("score", "")
    worst, best = ("highest", "lowest") if measure.lower_is_better else ("lowest", "highest")
    of_seed = {worst: f"{measure.heading} of the worst seed", best: f"{measure.heading} of the best seed"}
    return (
        RATIO,
        Column("seeds", "seeds", "count", explanation="how many were trained"),
        Column("mean", f"{measure.heading}, mean", kind, explanation="over the seeds, after fine-tuning"),
        Column("deviation", f"std dev{unit}", kind, explanation="standard deviation between seeds"),
        Column("lowest", "lowest", kind, explanation=of_seed["lowest"]),
        Column("highest", "highest", kind, explanation=of_seed["highest"]),
    )


def seed_tables(indexes: Sequence[RunIndex]) -> Iterator[Table]:
    """Make one table for each dataset × model × method × score that several seeds have been trained for.

    Args:
        indexes: The runs.
    """
    for subject in dict.fromkeys(subject for index in indexes for subject in index.subjects()):
        alike: dict[How, list[dict[str, Any]]] = {}
        for values in _scores(indexes, subject):
            alike.setdefault(values.pop("how"), []).append(values)
        dense: dict[How, list[dict[str, Any]]] = {}
        for how, found in alike.items():
            dense.setdefault(of_dense(how), []).extend(values for values in found if not values["ratio"])
        pruned = {how: found for how, found in alike.items() if any(values["ratio"] for values in found)}
        names = differing(pruned or alike)
        for how, found in (pruned or alike).items():
            own = [values for values in found if values["ratio"]] or found
            seeds = sorted({values["seed"] for values in own})
            own += [values for values in dense[of_dense(how)] if values["seed"] in seeds]
            if len(seeds) > 1:
                yield _table(subject, words_of(how, names), seeds, own)


def _table(subject: Subject, how: str, seeds: list[int], found: list[dict[str, Any]]) -> Table:
    import pandas as pd  # half a second, which only these tables and CSV are worth

    # A seed that several files hold counts once.
    frame = pd.DataFrame(found).drop_duplicates(["ratio", "seed"])
    by_ratio = frame.groupby("ratio")["score"].agg(["count", "mean", "std", "min", "max"])
    failed = {values["ratio"]: "✗" for values in found if values["failed"]}
    rows: list[Row] = [
        {
            "ratio": float(ratio),
            "flags": failed.get(ratio, ""),
            "seeds": int(count),
            "mean": float(mean),
            "deviation": float(deviation) if count > 1 else None,
            "lowest": float(lowest),
            "highest": float(highest),
        }
        for ratio, count, mean, deviation, lowest, highest in by_ratio.itertuples()
    ]
    test_images = " or ".join(map(str, sorted(frame["n"].unique())))
    backends = " or ".join(frame["backend"].unique())
    what = "images" if subject.measure.is_accuracy else "examples"
    note = f"seeds {', '.join(map(str, seeds))}; {backends}, {test_images} test {what}."
    title = f"over seeds: {subject.title}{f', {how}' if how else ''}"
    return Table(title, _columns(subject.measure), tuple(rows), _failures(found), (note,))


def _failures(found: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values["failed"] for values in found if values["failed"]))


def _scores(indexes: Sequence[RunIndex], subject: Subject) -> Iterator[dict[str, Any]]:
    for index in indexes:
        if not index.has(subject):
            continue
        for device in index.devices(subject):
            backends = dict.fromkeys((REFERENCE, index.main_backend(subject, device)))
            for ratio in index.ratios(subject, device):
                for backend in backends:
                    record = index.scored(subject, ratio, backend, device)
                    score = score_of(record)
                    if record and score and score.n and {"ratio", "seed"} <= record.keys():
                        found = {name: record[name] for name in ("ratio", "seed")}
                        found["how"] = how_of(index, record)
                        found["failed"] = failure_of(record)
                        yield found | {"score": score.value, "n": score.n, "backend": " ".join(backend)}
                        break

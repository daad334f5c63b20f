"""A benchmark JSON file of several methods, controls and seeds, made up: a test says their scores."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.helpers import record_factory as factory

DENSE_RIGHT = 350

EPOCHS = 12
"""Of every chain, where a test says nothing else."""


def method_content(
    right: Mapping[str, Sequence[int]],
    *,
    ratio: float = 0.5,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    target: str = "",
    seeds: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Make a file in which each method has one checkpoint for each seed.

    Args:
        right: Method → correct predictions of 360, one for each seed.
        ratio: Of all of them.
        costs: Method → fields of its cost records that are not those of the ratio and `EPOCHS`.
        target: That their ratio was found for; empty: none.
        seeds: By default 0, 1, ….
    """
    base = factory.make_content(
        ratios=(ratio,), backends=("eager:fp32",), batch_sizes=(), suites=("cost", "accuracy")
    )
    count = len(next(iter(right.values())))
    entries: list[dict[str, Any]] = []
    for position, seed in enumerate(seeds if seeds is not None else range(count)):
        for entry in base["benchmarks"]:
            dense = entry["extra_info"]["method"] == "dense"
            for method in ["dense"] if dense else list(right):
                made = copy.deepcopy(entry)
                record = made["extra_info"]
                record["method"], record["seed"] = method, seed
                name = f"{method}/{seed}"
                record["key"] = hashlib.sha256(name.encode()).hexdigest()[:32]
                record["cell"] = f"{record['cell']}-{name}"
                if record["suite"] == "accuracy":
                    record.pop("correct_bits", None)
                    factory.set_right(record, DENSE_RIGHT if dense else right[method][position])
                elif record["suite"] == "cost":
                    epochs = record["epochs"] if dense else EPOCHS
                    record |= {"epochs_spent": epochs, **(costs or {}).get(method, {})}
                if target and not dense and record["suite"] == "cost":
                    record |= {"target": target, "target_met": "met", "target_reached": "4x"}
                made["name"] = made["fullname"] = record["cell"]
                entries.append(made)
    return {**base, "benchmarks": entries}

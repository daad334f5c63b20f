"""Epochs that checkpoints were trained for, also where records say those of each step alone."""

from collections.abc import Iterable, Sequence

from pruning_core.records.controls import DENSE, has_new_weights
from pruning_core.records.fields import Record


def recipe_epochs(records: Iterable[Record]) -> str | None:
    """Return the epochs of dense and of the steps after it, `3 + 2`; None where no cost record tells.

    Steps of several epochs stand as `3 + 1/2`. What is trained from new weights has those of a whole chain.
    """
    dense: set[int] = set()
    steps: set[int] = set()
    for record in records:
        method, epochs = str(record.get("method")), record.get("epochs")
        if record["suite"] != "cost" or epochs is None or has_new_weights(method):
            continue
        (dense if method == DENSE else steps).add(epochs)
    stages = ("/".join(map(str, sorted(stage))) for stage in (dense, steps) if stage)
    return " + ".join(stages) or None


def chain_epochs(method: str, costs: Sequence[Record | None]) -> int | None:
    """Return the epochs of a chain, dense and penalty included; None where they are not known.

    Args:
        method: Whose chain.
        costs: The cost records of its steps, dense first; of what is not iterative dense and the last alone.
    """
    last = costs[-1]
    if last is None:
        return None
    if "epochs_spent" in last or has_new_weights(method):
        spent: int | None = last.get("epochs_spent", last.get("epochs"))
        return spent
    found = [(cost or {}).get("epochs") for cost in costs]  # written before any method had a penalty
    return None if None in found else sum(epochs for epochs in found if epochs)

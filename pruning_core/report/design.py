"""How a checkpoint was made, beside its method, ratio and seed: what two must share to be replicates."""

from collections.abc import Iterable, Mapping

from pruning_core.records.fields import Record
from pruning_core.report.run_index import RunIndex

_RECIPE, _EPOCHS = "recipe_sha256", "epochs of the recipe"

HOW: Mapping[str, str] = {
    "schedule": "{}",
    "scope": "{}",
    "round_to": "rounded to {}",
    "protect": "protect {}",
    "ratio_of": "ratio of {}",
    "max_ratio": "at most {} of a layer",
    "optimize_for": "fast on {}",
    "weights_sha256": "weights {:.8}",
    _RECIPE: "recipe {:.8}",
    _EPOCHS: "{} epochs",  # no field: of files of before 2026-11-29, whose records have no hash of a recipe
}
"""Field of a record → how it is said, where it tells two checkpoints apart."""

_OF_DENSE = ("weights_sha256", _RECIPE, _EPOCHS)
"""Of these: those that a network which nothing is cut of has too."""

How = tuple[object, ...]
"""Values of `HOW`, in their order; None where a record has none."""


def how_of(index: RunIndex, record: Record) -> How:
    """Return how the checkpoint of a record was made.

    Args:
        index: Of the file that holds the record.
        record: Of any suite that is about a checkpoint.
    """
    epochs = None if _RECIPE in record else index.epochs_of(record)
    return tuple(epochs if name == _EPOCHS else record.get(name) for name in HOW)


def of_dense(how: How) -> How:
    """Return what the dense network has of how one was made that was pruned."""
    return tuple(value for name, value in zip(HOW, how, strict=True) if name in _OF_DENSE)


def differing(all_of: Iterable[How]) -> list[str]:
    """Return the fields in which some differ."""
    found = list(all_of)
    return [name for index, name in enumerate(HOW) if len({how[index] for how in found}) > 1]


def words_of(how: How, names: Iterable[str]) -> str:
    """Say the fields of these names, `one-shot, rounded to 8`; nothing of those that are absent."""
    values = dict(zip(HOW, how, strict=True))
    return ", ".join(HOW[name].format(values[name]) for name in names if values[name] is not None)

"""How a checkpoint was made, beside its method, ratio and seed: what two must share to be replicates."""

from collections.abc import Iterable, Mapping
from typing import Any

HOW: Mapping[str, str] = {
    "schedule": "{}",
    "scope": "{}",
    "round_to": "rounded to {}",
    "protect": "protect {}",
    "ratio_of": "ratio of {}",
    "max_ratio": "at most {} of a layer",
    "optimize_for": "fast on {}",
    "weights_sha256": "weights {:.8}",
}
"""Field of a record → how it is said, where it tells two checkpoints apart."""

How = tuple[object, ...]
"""Values of the fields of `HOW`, in their order; None where a record has none."""


def how_of(record: Mapping[str, Any]) -> How:
    """Return how the checkpoint of a record was made."""
    return tuple(record.get(name) for name in HOW)


def differing(all_of: Iterable[How]) -> list[str]:
    """Return the fields in which some differ."""
    found = list(all_of)
    return [name for index, name in enumerate(HOW) if len({how[index] for how in found}) > 1]


def words_of(how: How, names: Iterable[str]) -> str:
    """Say the fields of these names, `one-shot, rounded to 8`; nothing of those that are absent."""
    values = dict(zip(HOW, how, strict=True))
    return ", ".join(HOW[name].format(values[name]) for name in names if values[name] is not None)

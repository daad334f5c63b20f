"""Limits of a policy that fit no score of a run: they would limit nothing, and nobody would know."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from pruning_core.errors import OptionError
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.records.fields import Record
from pruning_core.records.score import Measure, measure_of, misplaced_limit

_LIMITS = ("min_accuracy", "max_accuracy_drop", "min_score", "max_score", "max_score_drop")
_DEFAULTS = {item.name: item.default for item in fields(Tolerances) if item.name in _LIMITS}


def refuse_misplaced_limits(policy: Policy, records: Iterable[Record]) -> None:
    """Check that each limit which the policy sets fits the score of some cell that it is for.

    A policy for several tasks has limits of several kinds; each counts where it fits.

    Args:
        policy: A limit at its default is not set.
        records: Of both runs.

    Raises:
        OptionError: If one fits none; the message says which would.
    """
    cells: dict[tuple[str, str], Measure] = {}
    for record in records:
        if measure := measure_of(record):
            cells[record["suite"], record["cell"]] = measure
    general = {name: getattr(policy.tolerances, name) for name in _LIMITS}
    _refuse(general, cells.values(), "policy")
    for pattern, values in policy.overrides:
        if not values.keys() & _DEFAULTS:
            continue
        matched = [measure for cell, measure in cells.items() if policy.matches(pattern, *cell)]
        _refuse(values, matched, f"policy, [[cells]] match = {pattern!r}")


def _refuse(values: dict[str, Any], measures: Iterable[Measure], where: str) -> None:
    kinds = list(dict.fromkeys(measures))
    for name, default in _DEFAULTS.items():
        if kinds and values.get(name, default) != default:
            problems = [misplaced_limit(name, measure) for measure in kinds]
            if all(problems):
                raise OptionError(f"{where}: {problems[0]}")

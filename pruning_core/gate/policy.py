"""The gate's policy: what is tolerated, for all cells and for cells of a pattern, and the reader of its file.

A policy file is TOML; every key may be left out, and has the value below then:

    slowdown = 0.05                # of a cell's time relative to its reference's; found only beyond noise
    dense_slowdown = 0.15          # of the dense eager model's, relative to the machine's roofline
    max_accuracy_drop = 0.01       # fraction of all test images
    min_accuracy = 0.0             # on the whole test split
    max_relative_score_drop = 0.01 # of a task that is no classification: fraction of the baseline's score;
                                   # or in the score's own unit: max_score_drop. Beside it, where higher is
                                   # better, min_score, or max_score where lower is. None is set by default
    inconclusive = "stop"          # exit code 3; in JUnit <skipped>, since nothing has failed
                                   # "fail": exit code 3 too, in JUnit <failure>; "report": listed, exit code
                                   # 0, in JUnit <skipped>; "pass": counted as pass
    familywise_error = 0.05        # chance of any false regression in a run
    alpha_weights = { accuracy = 4, speed = 1, backend = 2, roofline = 1 }
                                   # how that chance is divided among the kinds of comparison that a run has
    confidence = 0.95              # of the bounds that let a cell pass
    power = 0.9                    # of the slow-down that the summary says would have been found
    control_tolerance = 0.05       # an A/A control significantly farther from 1 makes times untrusted
    on_other_machine = "cannot-compare"    # or "skip": judge the rest only
    fork_join_same_within = 1.25   # fork–join latencies less than this factor apart are of one machine state
    run_to_run_sd = 0.03           # standard deviation between runs of ln(dense time ÷ roofline time)
    min_cells = 6                  # fewer cells on either side, and a backend is not judged as a whole

    [[cells]]                      # later entries win; `match` is compared with "suite/cell" and with "cell"
    match = "latency/*-int8-*"
    slowdown = 0.10                # one of the keys down to `inconclusive`

Where the defaults come from, and for which machines: `gate/README.md`.
"""

import difflib
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.toml import TomlFile, read_toml
from pruning_core.records.fields import FORK_JOIN_SAME_WITHIN

CODE_3 = ("stop", "fail")
"""Values of `inconclusive` that make an inconclusive cell decide the exit code."""

_Fraction = Annotated[float, Meta(ge=0, le=1)]
_Slowdown = Annotated[float, Meta(ge=0, le=10)]
_Score = Annotated[float, Meta(ge=-1e30, le=1e30)]
_Drop = Annotated[float, Meta(ge=0, le=1e30)]
_Weight = Annotated[float, Meta(ge=0.001, le=1000)]


@dataclass(frozen=True)
class Tolerances:
    """What is tolerated of one cell."""

    slowdown: _Slowdown = 0.05
    dense_slowdown: _Slowdown = 0.15
    max_accuracy_drop: _Fraction = 0.01
    min_accuracy: _Fraction = 0.0
    max_score_drop: _Drop | None = None
    max_relative_score_drop: _Fraction = 0.01
    min_score: _Score | None = None
    max_score: _Score | None = None
    inconclusive: Literal["stop", "fail", "report", "pass"] = "stop"


@dataclass(frozen=True)
class AlphaWeights:
    """How the error probability is divided among the families of noisy comparisons that a run has."""

    accuracy: _Weight = 4.0
    speed: _Weight = 1.0
    backend: _Weight = 2.0
    roofline: _Weight = 1.0

    @property
    def by_family(self) -> dict[str, float]:
        """The weights by name of the family."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class Policy:
    """What is tolerated of a run; see the module's docstring for each field."""

    tolerances: Tolerances = Tolerances()
    familywise_error: Annotated[float, Meta(ge=1e-6, le=0.5)] = 0.05
    alpha_weights: AlphaWeights = AlphaWeights()
    confidence: Annotated[float, Meta(ge=0.5, le=0.9999)] = 0.95
    power: Annotated[float, Meta(ge=0.5, le=0.99)] = 0.9
    control_tolerance: _Fraction = 0.05
    on_other_machine: Literal["cannot-compare", "skip"] = "cannot-compare"
    fork_join_same_within: Annotated[float, Meta(ge=1, le=100)] = FORK_JOIN_SAME_WITHIN
    run_to_run_sd: Annotated[float, Meta(ge=0.001, le=1)] = 0.03
    min_cells: Annotated[int, Meta(ge=2, le=400)] = 6
    overrides: tuple[tuple[str, dict[str, Any]], ...] = field(default=())

    def tolerances_of(self, suite: str, cell: str) -> Tolerances:
        """Return what is tolerated of one cell: the later of the patterns that match it wins."""
        changes: dict[str, Any] = {}
        for pattern, values in self.overrides:
            if self.matches(pattern, suite, cell):
                changes |= values
        return replace(self.tolerances, **changes) if changes else self.tolerances

    @staticmethod
    def matches(pattern: str, suite: str, cell: str) -> bool:
        """Tell whether a pattern is for a cell."""
        return fnmatchcase(f"{suite}/{cell}", pattern) or fnmatchcase(cell, pattern)

    def unmatched(self, cells: list[tuple[str, str]]) -> list[str]:
        """Return the patterns that match no cell: most likely they are misspelt."""
        return [
            pattern
            for pattern, _ in self.overrides
            if not any(self.matches(pattern, *cell) for cell in cells)
        ]


MAX_SECTIONS, MAX_PATTERN_LENGTH = 1000, 1000

_OF_A_CELL = get_type_hints(Tolerances, include_extras=True)
_WEIGHTS = get_type_hints(AlphaWeights, include_extras=True)
_OF_A_RUN = {
    name: kind
    for name, kind in {**_OF_A_CELL, **get_type_hints(Policy, include_extras=True)}.items()
    if name not in ("tolerances", "overrides", "alpha_weights")
}


def read_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        OptionError: If the file cannot be read, is not valid TOML, or has an invalid value; the message
            names the key and its line.
    """
    file = read_toml(path, "policy file")
    content = dict(file.content)
    sections, weights = content.pop("cells", []), content.pop("alpha_weights", {})
    for key, value in content.items():
        _check(file, (key,), value, _OF_A_RUN, more=("alpha_weights", "cells"))
    if not isinstance(weights, dict):
        raise OptionError(
            f"alpha_weights must be a table such as {{ speed = 1 }}; got {shown(weights)}"
            f"{file.where('alpha_weights')}"
        )
    for key, value in weights.items():
        _check(file, ("alpha_weights", key), value, _WEIGHTS)
    overrides = _read_sections(file, sections)
    general = {key: content.pop(key) for key in _OF_A_CELL if key in content}
    return Policy(
        Tolerances(**general), alpha_weights=AlphaWeights(**weights), **content, overrides=tuple(overrides)
    )


def _read_sections(file: TomlFile, sections: object) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(sections, list) or not all(isinstance(item, dict) for item in sections):
        raise OptionError(f"cells must be written as [[cells]]; got {shown(sections)}{file.where('cells')}")
    if len(sections) > MAX_SECTIONS:
        raise OptionError(f"at most {MAX_SECTIONS} [[cells]]; got {len(sections)}{file.where()}")
    overrides = []
    for index, section in enumerate(sections):
        pattern = section.get("match")
        if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_PATTERN_LENGTH:
            raise OptionError(
                f'[[cells]] entry {index + 1} needs match = "…", a pattern of cells such as '
                f'"latency/*-int8-*", of at most {MAX_PATTERN_LENGTH} characters'
                f"{file.where('cells', index, 'match')}"
            )
        values = {key: value for key, value in section.items() if key != "match"}
        for key, value in values.items():
            _check(file, ("cells", index, key), value, _OF_A_CELL, more=("match",))
        overrides.append((pattern, values))
    return overrides


def _check(
    file: TomlFile,
    location: tuple[str | int, ...],
    value: object,
    known: dict[str, Any],
    more: tuple[str, ...] = (),
) -> None:
    """Refuse a key that is not known and a value that its type does not allow.

    msgspec checks the value; the message is ours, since its own names neither what it got nor a near name.
    """
    key, where = str(location[-1]), file.where(*location)
    if key not in known:
        names = [*known, *more]
        close = difflib.get_close_matches(key[:60], names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise OptionError(f"no key {shown(key)} here in a policy.{hint}\n  known: {', '.join(names)}{where}")
    try:
        msgspec.convert(value, known[key])
    except msgspec.ValidationError:
        raise OptionError(f"{key} must be {_allowed(known[key])}; got {shown(value)}{where}") from None


def _allowed(kind: Any) -> str:
    """Return what a type allows, in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) in (Union, UnionType):  # an optional number
        kind = get_args(kind)[0]
    number, limits = get_args(kind)
    return f"a {'whole ' if number is int else ''}number in [{limits.ge:g}, {limits.le:g}]"

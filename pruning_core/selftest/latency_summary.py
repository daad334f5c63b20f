"""Rates of wrong and right verdicts over the trials, with intervals, as a table and as JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tabulate import tabulate

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.console.shown import shortened, shown
from pruning_core.errors import OptionError
from pruning_core.files.atomic import write_text_file
from pruning_core.files.input import decode_json, read_bytes, why_unreadable
from pruning_core.selftest.latency_trials import Condition, Trial, TrialConfig
from pruning_core.stats.intervals import wilson_interval

OLD_NAMES = {
    "precision": "target_error",
    "others_share": "other_cpu_share",
    "setting": "config",
    "extra": "injected_slowdown",
    "seconds": "duration_s",
    "sequential_seconds": "sequential_duration_s",
}
"""What earlier files called a field → its name."""

OLD_VALUES = {"busy": "contended"}
"""What earlier files called a condition → its name."""

MAX_BYTES = 64_000_000
"""The largest file that is read."""


@dataclass(frozen=True)
class Rate:
    """How often a verdict was given in a group of trials, with a 95 % Wilson interval."""

    count: int
    n: int

    def __str__(self) -> str:
        """`1.0 % [0.3, 3.6]`."""
        low, high = wilson_interval(self.count, self.n)
        return f"{self.count / self.n:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class TrialGroup:
    """Trials of one kind: a condition, an injected slow-down, a tolerance."""

    condition: str
    injected_slowdown: float
    tolerance: float
    trials: tuple[Trial, ...]

    @property
    def title(self) -> str:
        """The kind in words."""
        what = f"+{self.injected_slowdown:.0%} injected" if self.injected_slowdown else "A/A"
        return f"{what}, {self.condition}"

    def rate(self, verdict_of: Callable[[Trial], str]) -> Rate:
        """Count what matters: `slower` where one was injected, any finding where none was."""
        sought = {"slower"} if self.injected_slowdown else {"slower", "faster"}
        return Rate(sum(verdict_of(trial) in sought for trial in self.trials), len(self.trials))


def group_trials(trials: Sequence[Trial]) -> list[TrialGroup]:
    """Put trials of one kind together, in the order of the first of each kind."""
    kinds: dict[tuple[str, float, float], list[Trial]] = {}
    for trial in trials:
        s = trial.config
        kinds.setdefault((s.condition, s.injected_slowdown, s.tolerance), []).append(trial)
    return [TrialGroup(*kind, tuple(members)) for kind, members in kinds.items()]


def render_groups(groups: Sequence[TrialGroup]) -> str:
    """Return the table of rates, as Markdown."""
    rows = []
    for group in groups:
        errors = np.abs(np.log([t.slowdown / (1 + group.injected_slowdown) for t in group.trials]))
        sequential = np.abs(
            np.log([t.sequential_slowdown / (1 + group.injected_slowdown) for t in group.trials])
        )
        rows.append(
            [
                group.title,
                f"{group.tolerance:.0%}",
                len(group.trials),
                str(group.rate(lambda t: t.verdict)),
                str(group.rate(lambda t: t.sequential_verdict)),
                f"{np.median(errors):.2%} / {errors.max():.1%}",
                f"{np.median(sequential):.2%} / {sequential.max():.1%}",
                f"{np.median([t.rounds for t in group.trials]):.0f}",
                f"{np.median([t.duration_s for t in group.trials]):.1f}",
            ]
        )
    header = [
        "trials",
        "tolerance",
        "n",
        "verdicts, paired",
        "verdicts, sequential mean",
        "error, paired",
        "error, sequential",
        "rounds",
        "s",
    ]
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True, stralign="right")


def write_summary(
    path: Path, trials: Sequence[Trial], options: LatencyOptions, machine: dict[str, Any]
) -> None:
    """Write every trial and the rates as JSON.

    Raises:
        OptionError: If the file cannot be written.
    """
    content = {
        "what": "pruning-bench selftest latency",
        "machine": machine,
        "options": options.model_dump(),
        "groups": [
            {
                "condition": group.condition,
                "injected_slowdown": group.injected_slowdown,
                "tolerance": group.tolerance,
                "n": len(group.trials),
                "verdicts_paired": group.rate(lambda t: t.verdict).count,
                "verdicts_sequential": group.rate(lambda t: t.sequential_verdict).count,
            }
            for group in group_trials(trials)
        ],
        "trials": [asdict(trial) for trial in trials],
    }
    write_text_file(path, json.dumps(content, indent=1) + "\n")


def read_summary(path: Path) -> tuple[list[Trial], dict[str, Any]]:
    """Read the trials, and the machine they ran on, from a file that `write_summary` wrote.

    Raises:
        OptionError: If it cannot be read, or is not such a file.
    """
    try:
        content = decode_json(read_bytes(path, MAX_BYTES))
        trials = [_trial_of(item) for item in content["trials"]]
        if (
            not 0
            < len({(t.config.condition, t.config.injected_slowdown, t.config.tolerance) for t in trials})
            <= 50
        ):
            raise ValueError("no trials, or of more than 50 kinds")
        return trials, dict(content["machine"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = shortened(repr(error), 200)
        if isinstance(error, OSError):
            reason = why_unreadable(error)
        elif isinstance(error, KeyError):
            reason = f"it has no {shown(error.args[0])}"
        raise OptionError(
            f"{shortened(str(path), 300)} is no file of `selftest latency --json`: {reason}"
        ) from None


def _trial_of(item: dict[str, Any]) -> Trial:
    """Check what a file says of a trial, and return it.

    Raises:
        ValueError, KeyError or TypeError: If it has an invalid value.
    """
    known = _todays_names(item)
    config = TrialConfig(**_todays_names(known["config"]))
    trial = Trial(**{**known, "config": config})
    fractions = {
        "injected_slowdown": config.injected_slowdown,
        "tolerance": config.tolerance,
        "target_error": config.target_error,
    }
    ratios = {
        "slowdown": trial.slowdown,
        "slowdown_low": trial.slowdown_low,
        "slowdown_high": trial.slowdown_high,
        "sequential_slowdown": trial.sequential_slowdown,
    }
    amounts = {
        "rounds": trial.rounds,
        "duration_s": trial.duration_s,
        "sequential_duration_s": trial.sequential_duration_s,
        "batch_size": config.batch_size,
    }
    for low, high, numbers in ((0, 10, fractions), (1e-6, 1e6, ratios), (0, 1e9, amounts)):
        for name, number in numbers.items():
            if type(number) not in (int, float) or not low <= number <= high:
                raise ValueError(f"{name} = {shown(number)}")
    if not trial.slowdown_low <= trial.slowdown <= trial.slowdown_high:
        raise ValueError("a slowdown outside of its bounds")
    if config.condition not in get_args(Condition):
        raise ValueError(f"condition = {shown(config.condition)}")
    return trial


def _todays_names(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a file under today's names, with today's values."""
    return {
        OLD_NAMES.get(name, name): OLD_VALUES.get(value, value) if isinstance(value, str) else value
        for name, value in fields.items()
    }

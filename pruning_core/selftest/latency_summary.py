"""What the trials amount to: rates of wrong and right verdicts, with intervals, as a table and as JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tabulate import tabulate

from pruning_core.config.grid import LatencyOptions
from pruning_core.console.shown import shortened, shown
from pruning_core.errors import OptionError
from pruning_core.files.atomic import write_text_file
from pruning_core.files.input import decode_json, read_bytes, why_unreadable
from pruning_core.selftest.latency_trials import Condition, Trial, TrialConfig
from pruning_core.stats.intervals import wilson_interval

OLD_NAMES = {"precision": "target_error", "others_share": "other_cpu_share"}
"""What earlier files called a field → its name."""

MOST_BYTES = 64_000_000
"""Of a file that is read: a trial takes 500."""


@dataclass(frozen=True)
class Rate:
    """How often something came out in a group of trials, with a 95 % Wilson interval."""

    count: int
    n: int

    def __str__(self) -> str:
        """`1.0 % [0.3, 3.6]`."""
        low, high = wilson_interval(self.count, self.n)
        return f"{self.count / self.n:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Group:
    """Trials of one kind: a condition, a planted slow-down, a tolerance."""

    condition: str
    extra: float
    tolerance: float
    trials: tuple[Trial, ...]

    @property
    def title(self) -> str:
        """The kind in words."""
        what = f"+{self.extra:.0%} planted" if self.extra else "A/A"
        return f"{what}, {self.condition}"

    def rate(self, verdict_of: Callable[[Trial], str]) -> Rate:
        """Count what matters: `slower` where a slow-down was planted, any finding where none was."""
        sought = {"slower"} if self.extra else {"slower", "faster"}
        return Rate(sum(verdict_of(trial) in sought for trial in self.trials), len(self.trials))


def group_trials(trials: Sequence[Trial]) -> list[Group]:
    """Put trials of one kind together, in the order in which the kinds came."""
    kinds: dict[tuple[str, float, float], list[Trial]] = {}
    for trial in trials:
        s = trial.setting
        kinds.setdefault((s.condition, s.extra, s.tolerance), []).append(trial)
    return [Group(*kind, tuple(members)) for kind, members in kinds.items()]


def render_groups(groups: Sequence[Group]) -> str:
    """Return the table of rates, as Markdown."""
    rows = []
    for group in groups:
        errors = np.abs(np.log([t.slowdown / (1 + group.extra) for t in group.trials]))
        sequential = np.abs(np.log([t.sequential_slowdown / (1 + group.extra) for t in group.trials]))
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
                f"{np.median([t.seconds for t in group.trials]):.1f}",
            ]
        )
    head = [
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
    return tabulate(rows, headers=head, tablefmt="github", disable_numparse=True, stralign="right")


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
                "planted": group.extra,
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
        content = decode_json(read_bytes(path, MOST_BYTES))
        trials = [_trial_of(item) for item in content["trials"]]
        if not 0 < len({(t.setting.condition, t.setting.extra, t.setting.tolerance) for t in trials}) <= 50:
            raise ValueError("no trials, or of more than 50 kinds")
        return trials, dict(content["machine"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = why_unreadable(error) if isinstance(error, OSError) else shortened(repr(error), 200)
        raise OptionError(
            f"{shortened(str(path), 300)} is no file of `selftest latency --json`: {reason}"
        ) from None


def _trial_of(item: dict[str, Any]) -> Trial:
    """Check what a file says of a trial, and return it.

    Raises:
        ValueError, KeyError or TypeError: If it has an invalid value.
    """
    setting = TrialConfig(**{OLD_NAMES.get(name, name): value for name, value in item["setting"].items()})
    known = {OLD_NAMES.get(name, name): value for name, value in item.items()}
    trial = Trial(**{**known, "setting": setting})
    fractions = {"extra": setting.extra, "tolerance": setting.tolerance, "target_error": setting.target_error}
    ratios = {
        "slowdown": trial.slowdown,
        "slowdown_low": trial.slowdown_low,
        "slowdown_high": trial.slowdown_high,
        "sequential_slowdown": trial.sequential_slowdown,
    }
    amounts = {
        "rounds": trial.rounds,
        "seconds": trial.seconds,
        "sequential_seconds": trial.sequential_seconds,
        "batch_size": setting.batch_size,
    }
    for low, high, numbers in ((0, 10, fractions), (1e-6, 1e6, ratios), (0, 1e9, amounts)):
        for name, number in numbers.items():
            if type(number) not in (int, float) or not low <= number <= high:
                raise ValueError(f"{name} = {shown(number)}")
    if not trial.slowdown_low <= trial.slowdown <= trial.slowdown_high:
        raise ValueError("a slowdown outside of its bounds")
    if setting.condition not in get_args(Condition):
        raise ValueError(f"condition = {shown(setting.condition)}")
    return trial

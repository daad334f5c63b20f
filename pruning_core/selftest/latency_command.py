"""The whole self-test, from trials to files."""

from pathlib import Path
from typing import Any, cast

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.console.shown import shortened
from pruning_core.files.atomic import check_writable
from pruning_core.progress import ProgressDisplay
from pruning_core.selftest.latency_figure import check_figure_file, draw_groups
from pruning_core.selftest.latency_summary import group_trials, read_summary, render_groups, write_summary
from pruning_core.selftest.latency_trials import Condition, Trial, plan_trials, run_trials
from pruning_core.system.hardware import resolve_threads
from pruning_core.system.machine import describe_machine


def run_selftest(
    each: int,
    slowed: int,
    conditions: tuple[str, ...],
    threads: int,
    json_file: Path | None,
    figure: Path | None,
) -> str:
    """Run all trials and write what was asked for.

    Args:
        each: A/A trials for each condition.
        slowed: Trials for each injected slow-down.
        conditions: `quiet`, `contended`, or both.
        threads: CPU threads, 0 for all usable.
        json_file: Gets every trial; also when the self-test is interrupted.
        figure: Gets the figure.

    Returns:
        The table of rates, as Markdown.

    Raises:
        OptionError: If a file cannot be written; found out before the first trial.
    """
    if json_file is not None:
        check_writable(json_file)
    if figure is not None:
        check_writable(figure, json_file)
    if figure is not None:
        check_figure_file(figure)
    configs = plan_trials(each, slowed, cast(tuple[Condition, ...], conditions))
    options = LatencyOptions()
    machine = describe_machine(threads)
    trials: list[Trial] = []
    try:
        with ProgressDisplay().work("selftest latency", quiet=True) as advance:
            for trial in run_trials(configs, options, resolve_threads(threads)):
                trials.append(trial)
                advance(len(trials), len(configs))
    finally:
        if json_file is not None and trials:
            write_summary(json_file, trials, options, dict(machine))
    return _show(trials, dict(machine), figure)


def show_selftest(json_file: Path, figure: Path | None) -> str:
    """Count and draw the trials of an earlier self-test.

    Args:
        json_file: What it wrote.
        figure: Gets the figure.

    Returns:
        The table of rates, as Markdown.

    Raises:
        OptionError: If the file is none of ours, or the figure cannot be written.
    """
    if figure is not None:
        check_writable(figure, json_file)
        check_figure_file(figure)
    return _show(*read_summary(json_file), figure)


def _show(trials: list[Trial], machine: dict[str, Any], figure: Path | None) -> str:
    groups = group_trials(trials)
    if figure is not None:
        facts = ("name", "torch", "threads")
        name, torch, threads = (shortened(str(machine.get(fact, "?")), 100) for fact in facts)
        draw_groups(groups, figure, f"{name} · torch {torch} · {threads} threads")
    return render_groups(groups)

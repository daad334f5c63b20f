"""The commands `pruning-bench selftest latency | compare | gate`."""

import os
import sys
from pathlib import Path

import click

from pruning_core.cli.options import FILE, FOLDER, NumberRange, given_options, store_option
from pruning_core.config.parse import MAX_THREADS
from pruning_core.console.streams import find_width
from pruning_core.errors import OptionError


@click.group()
def selftest() -> None:
    """Show by experiment how far this program's verdicts can be trusted on this machine."""


@selftest.command("latency")
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="A/A pairs, in each condition.",
)
@click.option(
    "--slowed",
    type=click.IntRange(0, 100_000),
    default=100,
    show_default=True,
    help="Trials for each of two injected slow-downs: 10 % at 5 % tolerance, 5 % at 2 %.",
)
@click.option(
    "--condition",
    type=click.Choice(["quiet", "contended", "both"]),
    default="both",
    show_default=True,
    help="contended: beside a process that computes half of the time.",
)
@click.option(
    "--threads", type=click.IntRange(0, MAX_THREADS), default=0, help="CPU threads (default: all usable)."
)
@click.option("--json", "json_file", type=FILE, help="Write every trial and the rates.")
@click.option("--figure", type=FILE, help="Draw both methods, .svg or .png (needs the extra `figures`).")
@click.option(
    "--from-json", "earlier", type=FILE, help="Run nothing; count and draw what --json wrote earlier."
)
def selftest_latency(
    trials: int,
    slowed: int,
    condition: str,
    threads: int,
    json_file: Path | None,
    figure: Path | None,
    earlier: Path | None,
) -> None:
    """Count wrong verdicts, and injected slow-downs that are found.

    Identical networks are timed against each other, and against copies that do more work; once by this
    program's pairs, once by the mean of calls in a row. About 6 s a trial.
    """
    from pruning_core.selftest.latency_command import run_selftest, show_selftest

    if earlier is not None:
        ignored = given_options("trials", "slowed", "condition", "threads", "json_file")
        if ignored:
            raise OptionError(f"{', '.join(ignored)}: not with --from-json, which runs nothing")
        _print_rates(show_selftest(earlier, figure))
        return
    if condition == "contended" and given_options("slowed"):
        raise OptionError("--slowed: nothing is slowed under --condition contended")
    conditions = ("quiet", "contended") if condition == "both" else (condition,)
    _print_rates(run_selftest(trials, slowed, conditions, threads, json_file, figure))


@selftest.command("compare")
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Pairs of equal networks.",
)
@click.option(
    "--slowed",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    help="Pairs whose candidate has a tenth more work.",
)
@click.option(
    "--threads", type=click.IntRange(0, MAX_THREADS), default=0, help="CPU threads (default: all usable)."
)
@click.option(
    "--time-limit-s",
    type=NumberRange(0.1, 3600),
    default=3.0,
    show_default=True,
    help="Of one comparison, about.",
)
@click.option("--json", "json_file", type=FILE, help="Write every comparison.")
def selftest_compare(
    trials: int, slowed: int, threads: int, time_limit_s: float, json_file: Path | None
) -> None:
    """Count wrong verdicts of `pruning_core.api.compare`, and slow-downs of a tenth that it finds.

    Two sizes of networks, all on this machine's CPU.
    """
    from pruning_core.selftest.compare_command import run_compare_selftest

    _print_rates(run_compare_selftest(trials, slowed, threads, time_limit_s, json_file))


@selftest.command("gate")
@click.option("--folder", type=FOLDER, required=True, help="Keeps the runs; run again, it goes on there.")
@click.option(
    "--runs", type=click.IntRange(2, 10_000), default=31, show_default=True, help="With nothing injected."
)
@click.option(
    "--slowed",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="10 % more work on one backend.",
)
@click.option(
    "--all-slowed",
    type=click.IntRange(0, 10_000),
    default=1,
    show_default=True,
    help="30 % more work on every backend.",
)
@click.option("--backend", default="openvino", show_default=True, help="The one backend.")
@click.option("--suites", type=click.Path(), default="bench", show_default=True, help="What pytest runs.")
@click.option("--grid", default="quick", show_default=True, help="Grid of the runs.")
@store_option
@click.option("--policy", type=FILE, help="The gate's policy (default: built in).")
@click.option(
    "--repeats",
    type=click.IntRange(0, 100),
    default=1,
    show_default=True,
    help="How many more runs an inconclusive one is merged with.",
)
@click.option(
    "--baseline-runs",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="How many runs are merged into a baseline.",
)
@click.option("--all-pairs", is_flag=True, help="Compare all runs with one another, not neighbours alone.")
@click.option("--json", "json_file", type=FILE, help="Write every comparison.")
def selftest_gate(
    folder: Path,
    runs: int,
    slowed: int,
    all_slowed: int,
    backend: str,
    suites: str,
    grid: str,
    root: Path | None,
    policy: Path | None,
    repeats: int,
    baseline_runs: int,
    all_pairs: bool,
    json_file: Path | None,
) -> None:
    """Count false regressions of the gate, and injected ones that it finds, over whole runs.

    Each run is a process of its own, as in CI. Hours: a run takes as long as `pytest bench/` does.
    """
    from pruning_core.backends import check_backend
    from pruning_core.selftest.gate_command import run_gate_selftest

    check_backend(backend, "fp32")
    arguments = [suites, f"--grid={grid}", *([f"--store={root}"] if root else [])]
    counts = (runs, slowed, all_slowed)
    table = run_gate_selftest(
        *counts,
        backend,
        folder,
        arguments,
        policy,
        json_file,
        repeats=repeats,
        baseline_runs=baseline_runs,
        all_pairs=all_pairs,
    )
    _print_rates(table)


def _print_rates(table: str) -> None:
    """Print a table: in Markdown, for a README, but where a terminal is too narrow for it."""
    from pruning_core.selftest.narrow import fit_rates

    to_a_person = sys.stdout.isatty() or os.environ.get("COLUMNS")
    click.echo(fit_rates(table, find_width(sys.stdout)) if to_a_person else table)

"""The self-test of the gate, from runs to a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from pruning_core.files.atomic import check_writable, write_text_file
from pruning_core.gate.compare import Policy, read_policy
from pruning_core.progress import ProgressDisplay
from pruning_core.records.run import read_run
from pruning_core.selftest.gate_trials import GateTrial, Kind, judge_runs, make_runs, plan_kinds
from pruning_core.selftest.latency_summary import Rate
from pruning_core.suites.benchmark_json import hide_paths


def run_gate_selftest(
    runs: int,
    planted: int,
    planted_in_all: int,
    backend: str,
    folder: Path,
    arguments: Sequence[str],
    policy_file: Path | None,
    json_file: Path | None,
    *,
    again: int = 0,
    baselines: int = 1,
    every_pair: bool = False,
) -> str:
    """Make the runs that are missing, judge them all, and write what was asked for.

    Args:
        runs: With nothing planted, at least 2.
        planted: With 10 % more work on one backend.
        planted_in_all: With 30 % more work on every backend.
        backend: The one backend.
        folder: Keeps the runs; those that are there are not made again.
        arguments: What pytest is called with.
        policy_file: The gate's policy; its defaults without one.
        json_file: Gets every comparison.
        again: How many more runs an inconclusive one is judged together with (see `judge_runs`).
        baselines: How many runs a baseline is taken together of (see `judge_runs`).
        every_pair: Compare all runs with one another, not neighbours alone (see `judge_runs`).

    Returns:
        The table of rates, as Markdown.

    Raises:
        OptionError: If a run does not end well, or a file cannot be read or written.
    """
    if json_file is not None:
        check_writable(json_file)
    policy = read_policy(policy_file) if policy_file else Policy()
    kinds = plan_kinds(runs, planted, planted_in_all, backend)
    with ProgressDisplay().work("selftest gate", quiet=True) as advance:
        make_runs(kinds, folder, arguments, advance)
    trials = list(judge_runs(kinds, folder, policy, again=again, baselines=baselines, every_pair=every_pair))
    if json_file is not None:
        machine = dict(read_run(folder / "aa-01.json").machine)
        content = {
            "what": "pruning-bench selftest gate",
            "machine": machine,
            "arguments": [hide_paths(argument) for argument in arguments],
            "again": again,
            "baselines": baselines,
            "every_pair": every_pair,
            "slowdown": policy.tolerances.slowdown,
            "dense_slowdown": policy.tolerances.dense_slowdown,
            "trials": [asdict(trial) for trial in trials],
        }
        write_text_file(json_file, json.dumps(content, indent=1) + "\n")
    return render_gate_trials(kinds, trials, every_pair=every_pair)


def render_gate_trials(
    kinds: Sequence[Kind], trials: Sequence[GateTrial], *, every_pair: bool = False
) -> str:
    """Return the table of rates, as Markdown; without intervals where pairs are not independent."""
    rows = []
    for kind in kinds:
        mine = [trial for trial in trials if trial.kind == kind.name]
        if not mine:
            continue
        what, word = ("nothing", "false") if not kind.plant else (kind.plant.replace("=", " +"), "found")
        verdicts = sorted({trial.verdict for trial in mine})
        counts = ", ".join(f"{sum(t.verdict == verdict for t in mine)} {verdict}" for verdict in verdicts)
        found = Rate(sum(trial.found for trial in mine), len(mine))
        rate = f"{found.count} {word}" + ("" if every_pair else f" ({found})")
        at_once = sum(trial.found for trial in mine if trial.runs == 1)
        if at_once < found.count:
            rate += f", {at_once} of them by one run"
        rows.append([what, kind.count, len(mine), rate, counts])
    head = ["planted", "runs", "comparisons", "regressions", "verdicts on the run"]
    return tabulate(rows, headers=head, tablefmt="github", disable_numparse=True)

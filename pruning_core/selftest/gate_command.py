"""The self-test of the gate, from runs to a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from pruning_core.errors import OptionError
from pruning_core.files.atomic import check_writable, write_text_file
from pruning_core.gate.policy import Policy, read_policy
from pruning_core.progress import ProgressDisplay
from pruning_core.records.run import read_run
from pruning_core.selftest.gate_trials import GateTrial, RunKind, judge_runs, make_runs, plan_kinds
from pruning_core.selftest.latency_summary import Rate
from pruning_core.suites.benchmark_json import hide_paths


def run_gate_selftest(
    runs: int,
    slowed: int,
    all_slowed: int,
    backend: str,
    folder: Path,
    arguments: Sequence[str],
    policy_file: Path | None,
    json_file: Path | None,
    *,
    repeats: int = 0,
    baseline_runs: int = 1,
    all_pairs: bool = False,
) -> str:
    """Make the runs that are missing, judge them all, and write what was asked for.

    Args:
        runs: With nothing injected; at least two.
        slowed: With more work in each call of one backend (`gate_trials.SLOWDOWN`).
        all_slowed: With more work in each call of every backend (`gate_trials.ALL_SLOWDOWN`).
        backend: The one backend.
        folder: Keeps the runs; those that are there are not made again.
        arguments: What pytest is called with.
        policy_file: The gate's policy; its defaults without one.
        json_file: Gets every comparison.
        repeats: How many more runs an inconclusive one is merged with (see `judge_runs`).
        baseline_runs: How many runs are merged into a baseline (see `judge_runs`).
        all_pairs: Compare all runs with one another, not neighbours alone (see `judge_runs`).

    Returns:
        The table of rates, as Markdown.

    Raises:
        OptionError: If a run does not end well, or a file cannot be read or written.
    """
    if json_file is not None:
        check_writable(json_file, policy_file)
        if json_file.parent.resolve() == folder.resolve():
            raise OptionError(f"cannot write {json_file}: {folder} keeps the runs. Name a file elsewhere")
    policy = read_policy(policy_file) if policy_file else Policy()
    kinds = plan_kinds(runs, slowed, all_slowed, backend)
    with ProgressDisplay().work("selftest gate", quiet=True) as advance:
        make_runs(kinds, folder, arguments, advance)
    trials = list(
        judge_runs(kinds, folder, policy, repeats=repeats, baseline_runs=baseline_runs, all_pairs=all_pairs)
    )
    if json_file is not None:
        machine = dict(read_run(folder / "aa-01.json").machine)
        content = {
            "what": "pruning-bench selftest gate",
            "machine": machine,
            "arguments": [hide_paths(argument) for argument in arguments],
            "repeats": repeats,
            "baseline_runs": baseline_runs,
            "all_pairs": all_pairs,
            "slowdown": policy.tolerances.slowdown,
            "dense_slowdown": policy.tolerances.dense_slowdown,
            "trials": [asdict(trial) for trial in trials],
        }
        write_text_file(json_file, json.dumps(content, indent=1) + "\n")
    return render_gate_trials(kinds, trials, all_pairs=all_pairs)


def render_gate_trials(
    kinds: Sequence[RunKind], trials: Sequence[GateTrial], *, all_pairs: bool = False
) -> str:
    """Return the table of rates, as Markdown; without intervals where pairs are not independent."""
    rows = []
    for kind in kinds:
        mine = [trial for trial in trials if trial.kind == kind.name]
        if not mine:
            continue
        what, word = (
            ("nothing", "false") if not kind.slowdown else (kind.slowdown.replace("=", " +"), "found")
        )
        verdicts = sorted({trial.verdict for trial in mine})
        counts = ", ".join(f"{sum(t.verdict == verdict for t in mine)} {verdict}" for verdict in verdicts)
        found = Rate(sum(trial.found for trial in mine), len(mine))
        rate = f"{found.count} {word}" + ("" if all_pairs else f" ({found})")
        by_one_run = sum(trial.found for trial in mine if trial.runs == 1)
        if by_one_run < found.count:
            rate += f", {by_one_run} of them by one run"
        rows.append([what, kind.count, len(mine), rate, counts])
    header = ["injected", "runs", "comparisons", "regressions", "verdicts on the run"]
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)

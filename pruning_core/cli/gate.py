"""The command `pruning-bench gate`: a verdict for each cell, and an exit code; without torch."""

from pathlib import Path

import click

from pruning_core.cli.options import FILE
from pruning_core.process.ending import Verdict


@click.command()
@click.argument("baseline", type=FILE)
@click.argument("new", type=FILE)
@click.argument("repeat", nargs=-1, type=FILE)
@click.option(
    "--baseline-repeat",
    multiple=True,
    type=FILE,
    help="A further run of the baseline's commit, merged with it; may be given several times.",
)
@click.option("--policy", type=FILE, help="TOML file of tolerances (default: built in).")
@click.option("--junit", type=FILE, help="Write JUnit XML, one case for each cell.")
@click.option("--markdown", type=FILE, help="Write a summary for a CI page.")
@click.option("--json", "json_file", type=FILE, help="Write all verdicts.")
def gate(
    baseline: Path,
    new: Path,
    repeat: tuple[Path, ...],
    baseline_repeat: tuple[Path, ...],
    policy: Path | None,
    junit: Path | None,
    markdown: Path | None,
    json_file: Path | None,
) -> None:
    """Compare NEW with BASELINE, cell by cell.

    Exit code 0: pass. 1: regressed. 2: cannot compare. 3: inconclusive; then measure again, and give that
    file too as REPEAT: all rounds are judged together.
    """
    from pruning_core.gate.command import run_gate

    raise Verdict(
        run_gate(
            baseline,
            new,
            policy,
            repetitions=repeat,
            baseline_repetitions=baseline_repeat,
            junit=junit,
            markdown=markdown,
            json_file=json_file,
        )
    )

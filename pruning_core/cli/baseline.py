"""The command `pruning-bench baseline accept`: keep the run that the gate compares with; without torch."""

from pathlib import Path

import click

from pruning_core.cli.options import FILE
from pruning_core.console.escaping import for_terminal


@click.group()
def baseline() -> None:
    """Keep the run that the gate compares with."""


@baseline.command("accept")
@click.argument("new", type=FILE)
@click.option(
    "--baseline",
    "kept",
    type=FILE,
    default=Path("results/baseline.json"),
    show_default=True,
    help="Where the baseline is kept.",
)
@click.option("--allow-missing", is_flag=True, help="Accept a run without some cells of the baseline.")
def baseline_accept(new: Path, kept: Path, allow_missing: bool) -> None:
    """Make NEW the baseline; the one before is kept in a folder beside it.

    A run that is contaminated, has failed cells, or lacks cells is refused.
    """
    from pruning_core.gate.baseline import accept_baseline

    print(for_terminal(accept_baseline(new, kept, allow_missing)))

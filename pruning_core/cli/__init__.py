"""The command line: one file for each command, so that this folder's listing is the list of commands.

A command imports what it needs when it runs, so that `--help`, `report` and `gate` start without torch.
"""

from typing import Any, NoReturn

import click

from pruning_core import __version__
from pruning_core.cli.baseline import baseline
from pruning_core.cli.explain import explain
from pruning_core.cli.export import export
from pruning_core.cli.gate import gate
from pruning_core.cli.init import init
from pruning_core.cli.plan import plan
from pruning_core.cli.prepare import prepare
from pruning_core.cli.recommend import recommend
from pruning_core.cli.report import report
from pruning_core.cli.selftest import selftest
from pruning_core.cli.store import store
from pruning_core.console.streams import guard_streams
from pruning_core.process.ending import end_process
from pruning_core.process.interrupts import RESUMES, UNDONE, say_kept


class _Commands(click.Group):
    """The commands; a pipe that breaks in one of them is a fault, since standard output never raises."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click itself would end with the code of a regression where a pipe breaks."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise RuntimeError(f"a pipe to another process broke: {error}") from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="pruning-bench")
@click.pass_context
def cli(context: click.Context) -> None:
    """If I prune this network, what do I gain on this device and what do I lose?

    The suites are pytest's: `pytest bench/ --benchmark-json results/latest.json`.
    """
    say_kept(RESUMES if context.invoked_subcommand in ("prepare", "selftest") else UNDONE)


COMMANDS = (init, plan, prepare, report, recommend, explain, export, gate, baseline, selftest, store)

for command in COMMANDS:
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and end the process; see `process/ending.py` for exit codes."""
    guard_streams()
    end_process(lambda: cli.main(standalone_mode=False))

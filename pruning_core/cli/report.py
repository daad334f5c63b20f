"""The command `pruning-bench report`: tables, a page or a figure of benchmark JSON; without torch."""

from pathlib import Path

import click

from pruning_core.cli.options import FILE
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--format",
    type=click.Choice(["terminal", "markdown", "csv", "json", "html", "svg", "png"]),
    default="terminal",
    show_default=True,
)
@click.option("-o", "--output", type=FILE, help="Write here instead of to the terminal.")
@click.option("--baseline", type=FILE, help="With html: the gate's verdicts on the first file.")
@click.option("--policy", type=FILE, help="With --baseline: the gate's TOML file of tolerances.")
@click.option(
    "explanations",
    "--explain",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="With html: what `explain --format json` wrote; may be given several times.",
)
@click.option(
    "--columns",
    type=click.Choice(["all", "tutorial"]),
    default="all",
    show_default=True,
    help="tutorial: the columns of the published experiment, and no other table.",
)
@click.option(
    "dataset_titles",
    "--dataset-title",
    multiple=True,
    metavar="NAME=TITLE",
    help="Show a dataset under a title, as in folder='CIFAR-10 (JPEG copy)'; may be given several times.",
)
def report(
    files: tuple[Path, ...],
    format: str,
    output: Path | None,
    baseline: Path | None,
    policy: Path | None,
    explanations: tuple[Path, ...],
    columns: str,
    dataset_titles: tuple[str, ...],
) -> None:
    """Turn benchmark JSON FILES into tables, a page or a figure; several files stand side by side.

    html is one file that opens offline; svg and png, for a README, need the extra `figures`.
    """
    from pruning_core.report.command import write_report

    write_report(files, format, output, baseline, columns, _titles(dataset_titles), explanations, policy)


def _titles(texts: tuple[str, ...]) -> dict[str, str]:
    titles = {}
    for text in texts:
        name, equals, title = text.partition("=")
        if not (name and equals and title.strip()):
            raise OptionError(
                f"--dataset-title {shown(text)}: give it as NAME=TITLE, for example folder=CIFAR-10"
            )
        titles[name] = title.strip()
    return titles

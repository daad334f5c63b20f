"""The command line: `pruning-bench init | prepare | plan | report | gate | store`.

Each command imports what it needs when it runs, so that `--help`, `report` and `gate` start without torch.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from pruning_core import __version__
from pruning_core.cli.init import init
from pruning_core.cli.options import FILE, FOLDER, store_option
from pruning_core.cli.selftest import selftest
from pruning_core.cli.store import store
from pruning_core.console.escaping import for_terminal
from pruning_core.console.shown import shown
from pruning_core.console.streams import guard_streams, print_content, print_pieces
from pruning_core.errors import OptionError
from pruning_core.process.ending import Verdict, end_process
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


def _axis(name: str, text: str) -> Callable[..., Any]:
    return click.option(f"--{name}", name.replace("-", "_"), metavar="LIST", help=text)


@cli.command()
@click.option("--grid", metavar="NAME|FILE", help="Grid file, or its name in bench/grids (default: quick).")
@_axis("model", "Networks, separated by commas.")
@_axis("dataset", "Datasets, separated by commas.")
@_axis("method", "Pruning methods, separated by commas.")
@_axis("ratios", "0.25,0.5 or start:stop:step, the stop included.")
@click.option(
    "--scope",
    type=click.Choice(["local", "global"]),
    help="Rank channels within each layer, or over all together (default: what the grid says).",
)
@_axis("threads", "Numbers of CPU threads; training takes the most. 0: all usable.")
@click.option("--seed", type=int, help="Of training and fine-tuning (default: what the grid says).")
@store_option
@click.option("--data-root", type=FOLDER, help="Where torchvision's datasets lie.")
@click.option("--download", is_flag=True, help="Let a dataset named in the grid be downloaded.")
def prepare(
    grid: str | None,
    model: str | None,
    dataset: str | None,
    method: str | None,
    ratios: str | None,
    scope: str | None,
    threads: str | None,
    seed: int | None,
    root: Path | None,
    data_root: Path | None,
    download: bool,
) -> None:
    """Make every checkpoint that a grid needs: train, prune, fine-tune. Resumes what was interrupted."""
    from pruning_core.config.cells import explain_labels, variants
    from pruning_core.config.grid import explain_other_chain, read_grid
    from pruning_core.config.grid_files import find_grid
    from pruning_core.pipeline import ensure_variant
    from pruning_core.progress import ProgressDisplay
    from pruning_core.store import Store, default_root
    from pruning_core.suites.forecast import announce
    from pruning_core.suites.validate import validate_grid
    from pruning_core.workspace import Workspace

    options: dict[str, Any] = {"model": model, "dataset": dataset, "method": method, "ratios": ratios}
    options |= {"scope": scope, "threads": threads, "train.seed": seed, "fine_tune.seed": seed}
    given = {name: value for name, value in options.items() if value is not None}
    path = find_grid(grid, Path.cwd())
    wanted = read_grid(path, given)
    validate_grid(wanted)
    display = ProgressDisplay()
    if renamed := explain_labels(wanted.dataset):
        display.say(renamed)
    store = Store(root or default_root(), notify=display.say)
    place = Workspace(store, display, data_root, download, wanted.normalize)
    all_variants = list(variants(wanted))
    if ratios is not None and (note := explain_other_chain(path, wanted)):
        display.say(note)
    place.before_first_training = lambda: announce(all_variants, wanted, place)
    for variant in all_variants:
        checkpoint = ensure_variant(variant, wanted, place)
        metrics = checkpoint.metrics
        note = "  exhausted: removed nothing more" if metrics.exhausted else ""
        print(
            f"{for_terminal(variant.id):45} {metrics.macs / 1e6:9.2f} M MACs "
            f"{metrics.params / 1e6:7.3f} M parameters {metrics.accuracy:7.2%}  {checkpoint.key[:12]}{note}",
            flush=True,
        )


MAX_IMAGE_VALUES = 2**23
"""Of `plan`: 3 × 1672 × 1672. A network keeps some hundred times as much while it is traced."""


@cli.command()
@click.option("--model", default="resnet18", show_default=True, help="Network, or module:function.")
@click.option("--method", default="magnitude", show_default=True, help="Pruning method.")
@click.option("--ratios", default="0.1:0.9:0.1", show_default=True, help="0.25,0.5 or start:stop:step.")
@click.option(
    "--schedule", type=click.Choice(["iterative", "one-shot"]), default="iterative", show_default=True
)
@click.option("--scope", type=click.Choice(["local", "global"]), default="local", show_default=True)
@click.option(
    "--round-to", type=click.IntRange(1, 4096), default=2, show_default=True, help="Widths are multiples."
)
@click.option("--classes", type=click.IntRange(2, 100_000), default=10, show_default=True)
@click.option("--image", default="3x32x32", show_default=True, metavar="CxHxW", help="Shape of one image.")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "csv", "json"]), default="terminal", show_default=True
)
def plan(
    model: str,
    method: str,
    ratios: str,
    schedule: str,
    scope: str,
    round_to: int,
    classes: int,
    image: str,
    form: str,
) -> None:
    """Show what pruning would give, in seconds, without training."""
    from pruning_core.config.grid import make_grid
    from pruning_core.pruning.preview import preview_steps, render_steps
    from pruning_core.suites.validate import check_scope

    check_scope(method, scope)
    grid = make_grid({"ratios": ratios, "schedule": schedule, "scope": scope, "round_to": round_to})
    steps = preview_steps(
        model,
        grid.method_spec(method),
        grid.ratios,
        classes=classes,
        image=_image_shape(image),
        with_dense=form == "terminal",
    )
    text = f"{render_steps(list(steps), form)}\n"
    if form == "terminal":
        print_pieces([text])
    else:
        print_content([text])


@cli.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "json", "html", "svg", "png"]),
    default="terminal",
    show_default=True,
)
@click.option("-o", "--output", type=FILE, help="Write here instead of to the terminal.")
@click.option("--baseline", type=FILE, help="With html: the gate's verdicts on the first file.")
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
    form: str,
    output: Path | None,
    baseline: Path | None,
    columns: str,
    dataset_titles: tuple[str, ...],
) -> None:
    """Turn benchmark JSON FILES into tables, a page or a picture; several files stand side by side.

    html is one file that opens offline; svg and png, for a README, need the extra `figures`.
    """
    from pruning_core.report.command import write_report

    write_report(files, form, output, baseline, columns, _titles(dataset_titles))


@cli.command()
@click.argument("baseline", type=FILE)
@click.argument("new", type=FILE)
@click.argument("again", nargs=-1, type=FILE)
@click.option(
    "--baseline-again",
    multiple=True,
    type=FILE,
    help="A further run of the baseline's commit, taken together with it; may be given several times.",
)
@click.option("--policy", type=FILE, help="TOML file of tolerances (default: built in).")
@click.option("--junit", type=FILE, help="Write JUnit XML, one case for each cell.")
@click.option("--markdown", type=FILE, help="Write a summary for a CI page.")
@click.option("--json", "json_file", type=FILE, help="Write all verdicts.")
def gate(
    baseline: Path,
    new: Path,
    again: tuple[Path, ...],
    baseline_again: tuple[Path, ...],
    policy: Path | None,
    junit: Path | None,
    markdown: Path | None,
    json_file: Path | None,
) -> None:
    """Compare NEW with BASELINE, cell by cell.

    Exit code 0: pass. 1: regressed. 2: cannot compare. 3: inconclusive; then measure AGAIN, and give both
    files: all rounds are judged together.
    """
    from pruning_core.gate.command import run_gate

    raise Verdict(
        run_gate(
            baseline,
            new,
            policy,
            repetitions=again,
            baseline_repetitions=baseline_again,
            junit=junit,
            markdown=markdown,
            json_file=json_file,
        )
    )


@cli.group()
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


cli.add_command(init)
cli.add_command(store)
cli.add_command(selftest)


def main() -> NoReturn:
    """Run the command line and end the process; see `process/ending.py` for exit codes."""
    guard_streams()
    end_process(lambda: cli.main(standalone_mode=False))


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


def _image_shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x", 3)
    if len(parts) == 3 and all(re.fullmatch("[0-9]{1,6}", part) for part in parts):
        channels, height, width = map(int, parts)
        if 0 < channels * height * width <= MAX_IMAGE_VALUES:
            return channels, height, width
    raise OptionError(
        f"--image: channels, height and width as 3x32x32; got {shown(text)}. "
        f"At most {MAX_IMAGE_VALUES:,} numbers in all"
    )

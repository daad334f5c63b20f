"""The command `pruning-bench recommend`: the cell to ship; without torch."""

from pathlib import Path

import click

from pruning_core.cli.options import FILE, FRACTION, Number, NumberRange
from pruning_core.process.ending import Verdict

_ANY, _POSITIVE = Number(), NumberRange(0, min_open=True)


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--max-drop",
    type=_ANY,
    help="How much may be lost to the dense model; of an accuracy a fraction: 0.005 is half a point "
    "(default: a point, of another score a hundredth; none beside a limit of the score itself).",
)
@click.option("--min-accuracy", type=FRACTION, help="Least accuracy, a fraction.")
@click.option("--min-score", type=_ANY, help="Least score of another task, where higher is better.")
@click.option("--max-score", type=_ANY, help="Greatest score of another task, where lower is better.")
@click.option("--max-latency-ms", type=_POSITIVE, help="Longest time of a call.")
@click.option("--max-size-mb", type=_POSITIVE, help="Largest size of the weights, in 10⁶ bytes.")
@click.option("--model", help="Which network, where the files hold several.")
@click.option("--dataset", help="Which dataset, as the tables call it.")
@click.option("--score", help="Which score, by name.")
@click.option(
    "--machine",
    help="Which machine: its whole name, or how its fingerprint begins, four characters or more.",
)
@click.option("--device", help="Which device: cpu, cuda:0, ….")
@click.option("--threads", type=click.IntRange(1), help="CPU threads that a call has.")
@click.option("--batch-size", type=click.IntRange(1), help="Images in a call.")
@click.option(
    "--format",
    type=click.Choice(["terminal", "json", "markdown"]),
    default="terminal",
    show_default=True,
)
@click.option("-o", "--output", type=FILE, help="Write here instead of to the terminal.")
def recommend(
    files: tuple[Path, ...],
    max_drop: float | None,
    min_accuracy: float | None,
    min_score: float | None,
    max_score: float | None,
    max_latency_ms: float | None,
    max_size_mb: float | None,
    model: str | None,
    dataset: str | None,
    score: str | None,
    machine: str | None,
    device: str | None,
    threads: int | None,
    batch_size: int | None,
    format: str,
    output: Path | None,
) -> None:
    """Choose the cell of benchmark JSON FILES to ship: the fastest of those that keep the limits.

    One that surely keeps them, by its intervals, comes before one that may not; any that is faster than the
    dense model comes before that.

    It says the next best too, why each other cell fell out, how sure that is, and how to export the cell.
    Exit code 0: something fits. 1: nothing fits; then it says what comes closest. 2: a mistake.
    """
    from pruning_core.report.recommendation.command import (
        NOTHING_FITS,
        Budgets,
        write_recommendation,
    )
    from pruning_core.report.recommendation.question import Question

    code = write_recommendation(
        files,
        Question(model, dataset, score, machine, device, threads, batch_size),
        Budgets(max_drop, min_accuracy, min_score, max_score, max_latency_ms, max_size_mb),
        format,
        output,
    )
    if code == NOTHING_FITS:
        raise Verdict(code)

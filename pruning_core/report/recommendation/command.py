"""`pruning-bench recommend`: read the files, choose, write the answer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pruning_core.console.streams import find_width, print_pieces
from pruning_core.errors import OptionError
from pruning_core.files.atomic import check_writable
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.records.run import read_run
from pruning_core.records.score import Measure, misplaced_limit
from pruning_core.report.build import build_report
from pruning_core.report.command import write_chunks
from pruning_core.report.recommendation.answer import Answer, default_drop, make_answer
from pruning_core.report.recommendation.candidates import candidates_of
from pruning_core.report.recommendation.limits import Limits
from pruning_core.report.recommendation.output import FORMATS
from pruning_core.report.recommendation.question import Question, narrow

FITS, NOTHING_FITS = 0, 1
"""Exit codes."""


@dataclass(frozen=True)
class Budgets:
    """The limits as a user gives them; None: not said."""

    max_drop: float | None = None
    min_accuracy: float | None = None
    min_score: float | None = None
    max_score: float | None = None
    max_latency_ms: float | None = None
    max_size_mb: float | None = None


def recommend(paths: Sequence[Path], question: Question, budgets: Budgets) -> Answer:
    """Read benchmark JSON files and choose the cell to ship.

    Args:
        paths: At least one file.
        question: Which network, machine, device and batch size.
        budgets: The limits.

    Raises:
        RecordError: If a file cannot be used, or nothing was timed.
        OptionError: If an option names what is not there, several things are meant, or a limit does not fit
            the score.
    """
    with no_garbage_collection():  # see `gate/command.py`
        indexes = build_report([read_run(path) for path in paths], tables_wanted=False).indexes
        meant = narrow(list(candidates_of(indexes)), question)
        measure = meant[0].measure
        score = _score_limit(budgets, measure)
        drop = budgets.max_drop
        if drop is None and score is None:
            drop = default_drop(meant)
            if drop is None:
                limit = "--max-score" if measure.lower_is_better else "--min-score"
                raise OptionError(
                    f"the dense model was not timed: how much may be lost? Name {limit} or --max-drop"
                )
        if drop is not None and measure.is_accuracy and not -1 <= drop <= 1:
            raise OptionError(
                f"--max-drop: of an accuracy it is a fraction, 0.005 is half a point; got {drop:g}"
            )
        most = None if budgets.max_size_mb is None else budgets.max_size_mb * 1e6
        return make_answer(indexes, meant, Limits(drop, score, budgets.max_latency_ms, most))


def write_recommendation(
    paths: Sequence[Path], question: Question, budgets: Budgets, format: str, output: Path | None = None
) -> int:
    """Choose the cell to ship and write the answer.

    Args:
        paths: As of `recommend`.
        question: Likewise.
        budgets: Likewise.
        format: A key of `FORMATS`.
        output: A file; standard output by default.

    Returns:
        The exit code: whether anything fits.

    Raises:
        RecordError: As `recommend`.
        OptionError: Likewise, or the output cannot be written.
    """
    if output is not None:
        check_writable(output, *paths)
    answer = recommend(paths, question, budgets)
    chunks = FORMATS[format](answer, find_width(sys.stdout))
    if format == "terminal" and output is None:
        print_pieces(chunks)
    else:
        write_chunks(chunks, output)
    return NOTHING_FITS if answer.best is None else FITS


def _score_limit(budgets: Budgets, measure: Measure) -> float | None:
    """Return the limit of the score, which has to be the one that fits it."""
    limit: float | None = None
    for name in ("min_accuracy", "min_score", "max_score"):
        value: float | None = getattr(budgets, name)
        if value is None:
            continue
        if problem := misplaced_limit(name, measure):
            raise OptionError(_as_option(problem))
        limit = value
    return limit


def _as_option(problem: str) -> str:
    for name in ("min_accuracy", "min_score", "max_score"):
        problem = problem.replace(name, f"--{name.replace('_', '-')}")
    return problem

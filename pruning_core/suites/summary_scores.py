"""The scores of the table that a run ends with: accuracies in percent, or what the tasks call theirs."""

from collections.abc import Sequence
from typing import Any

from pruning_core.records.score import ACCURACY, measure_of, score_of

NONE = "–"

Summary = dict[str, Any]


def are_accuracies(summaries: Sequence[Summary]) -> bool:
    """Tell whether all scores are accuracies, so that the heading can say so."""
    return {measure_of(summary) or ACCURACY for summary in summaries} <= {ACCURACY}


def name_of(summary: Summary) -> str:
    """Return what the score of a row is called; empty where it has none."""
    measure = measure_of(summary)
    return "" if measure is None else measure.name if measure.is_accuracy else measure.heading


def score_texts(summary: Summary, percent: bool) -> tuple[str, str]:
    """Return the score of a row and its drop below dense.

    Args:
        summary: Of the row.
        percent: Whether the heading says that it is in percent.
    """
    score = score_of(summary)
    if score is None:
        return NONE, NONE
    value = f"{100 * score.value:.2f}" if percent else score.text
    if score.drop is None:
        return value, NONE
    return value, f"{100 * score.drop:.2f}" if score.measure.is_accuracy else f"{score.drop + 0.0:.3g}"


def drop_meaning(summaries: Sequence[Summary], percent: bool) -> list[str]:
    """Return what a drop is, in words; nothing where no row has one."""
    if not any((score := score_of(summary)) and score.drop is not None for summary in summaries):
        return []
    if percent:
        return ["drop: points below dense"]
    points = ", of accuracies in points" if any("accuracy" in summary for summary in summaries) else ""
    return [f"drop: by how much worse than dense{points}"]

"""The answer in words: sections of lines, the same for a terminal and for Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass

from pruning_core.report.estimate import latency_of
from pruning_core.report.number_format import number_text
from pruning_core.report.recommendation.answer import (
    CONTAMINATED,
    FAILED,
    LESS_SURE,
    OTHER_SEED,
    SLOWER,
    UNSCORED,
    Answer,
)
from pruning_core.report.recommendation.cell_wording import (
    cell_lines,
    check_text,
    drop_text,
    limit_texts,
    verdict_text,
)
from pruning_core.report.recommendation.drop import CONFIDENCE
from pruning_core.report.recommendation.exported import export_command
from pruning_core.report.recommendation.limits import (
    BEYOND,
    DROP,
    LATENCY,
    NOT_SURE,
    SCORE,
    SIZE,
)
from pruning_core.report.recommendation.ranking import Judged
from pruning_core.stats.proportions import paired_drop_bounds

MAX_NAMED = 3
"""Cells that are named for one reason; of more there is the number."""


@dataclass(frozen=True)
class Section:
    """Some lines under a heading."""

    heading: str
    lines: list[str]
    is_code: bool = False


def sections_of(answer: Answer) -> Iterator[Section]:
    """Walk over all that is to be said."""
    first = answer.measured
    record = first.record
    where = f"{record.get('device')}, {record.get('threads')} threads, batch {record.get('batch_size')}"
    files = ", ".join(dict.fromkeys(cell.candidate.index.file for cell in answer.judged))
    title = (
        f"{first.index.subject_of(record).network_title}: {where}, {first.index.run.machine_name} ({files})"
    )
    yield Section(
        title,
        [f"limits: {'; '.join(limit_texts(answer.limits, first.measure)) or 'none'}", *_dense_lines(answer)],
    )
    best, second = answer.best, answer.second
    if best is None:
        yield Section("Nothing fits", _nearest_lines(answer))
    else:
        word = "" if best.is_sure else f": {NOT_SURE}"
        lines = [*cell_lines(best), *_seed_lines(answer), *_too_few(best)]
        yield Section(f"Ship {answer.title(best)}{word}", lines)
        if second is not None:
            yield Section(f"Next best: {answer.title(second)}", _second_lines(answer, best, second))
        faster = answer.faster
        if faster is not None and faster is not second:
            yield Section(f"Faster, but not sure: {answer.title(faster)}", cell_lines(faster))
    lines = [reason_line(answer, reason, cells) for reason, cells in answer.fallen().items()]
    if lines:
        others = f"Why not the other {len(answer.reasons)}" if best else f"Why none of {len(answer.reasons)}"
        yield Section(others, lines)
    if best is not None:
        command, note = export_command(best.candidate.index, best.candidate.record)
        if command:
            yield Section("Export", [command], is_code=True)
        if note:
            yield Section("" if command else "Export", [note])


def reason_line(answer: Answer, reason: str, cells: list[Judged]) -> str:
    """Return one reason, how many cells have it, and the first of these."""
    measure = cells[0].candidate.measure
    limits = {check.name: check_text(check, measure, check.limit) for check in cells[0].checks}
    words = {
        FAILED: "failed",
        UNSCORED: "without a score",
        CONTAMINATED: "within the limits, but contaminated: their times are not to be trusted",
        OTHER_SEED: "the same with another seed",
        SLOWER: "within the limits, but slower",
        LESS_SURE: "within the limits, but less sure",
        DROP: f"lost more than {limits.get(DROP)}",
        SCORE: f"{measure.name} {'above' if measure.lower_is_better else 'below'} {limits.get(SCORE)}",
        LATENCY: f"slower than {limits.get(LATENCY)}",
        SIZE: f"larger than {limits.get(SIZE)}",
    }
    named = [f"{answer.title(cell)}{_number_of(cell, reason)}" for cell in cells[:MAX_NAMED]]
    more = f"; and {len(cells) - MAX_NAMED} more" if len(cells) > MAX_NAMED else ""
    return f"{len(cells)} {words[reason]}: {'; '.join(named)}{more}"


def _number_of(cell: Judged, reason: str) -> str:
    measure, record = cell.candidate.measure, cell.candidate.record
    if reason == FAILED:
        why = " ".join(str(record.get("failure") or "").split())
        return f" ({why[:100]})" if why else ""
    if reason == LESS_SURE:
        crossed = [check for check in cell.checks if check.grade == NOT_SURE]
        return f" ({crossed[0].name}{verdict_text(crossed[0], measure)})" if crossed else ""
    check = next((check for check in cell.checks if check.name == reason), None)
    if check is not None:
        return " (not known)" if check.value is None else f" ({check_text(check, measure, check.value)})"
    latency = latency_of(record)
    return f" ({number_text(latency.value, 'ms')[0]} ms)" if latency else ""


def _nearest_lines(answer: Answer) -> list[str]:
    nearest = answer.nearest
    if nearest is None:
        return ["no cell has both a time and a score"]
    measure = nearest.candidate.measure
    beyond = [
        measure.name if check.name == SCORE else check.name
        for check in nearest.checks
        if check.grade == BEYOND
    ]
    missed = [*beyond, *([] if nearest.candidate.trusted else [CONTAMINATED])]
    return [f"closest: {answer.title(nearest)}, but for: {', '.join(missed)}", *cell_lines(nearest)]


def _second_lines(answer: Answer, best: Judged, second: Judged) -> list[str]:
    lines = cell_lines(second)
    if not answer.is_tie:
        return lines
    one, two = best.candidate.drop, second.candidate.drop
    less = ""
    if one is not None and two is not None and one.value != two.value:
        less = f"; {'the first' if one.value < two.value else 'this one'} loses less"
    return [f"a tie: the times of the two overlap, either may be the faster one{less}", *lines]


def _seed_lines(answer: Answer) -> list[str]:
    seeds = answer.seeds
    if len(seeds) < 2:
        named = f" ({seeds[0].seed})" if seeds else ""
        return [f"one seed{named}: how much another training would lose is not known"]
    assert answer.best is not None
    measure, limit = answer.best.candidate.measure, answer.limits.max_drop
    drops = [seed.drop.value for seed in seeds if seed.drop is not None]
    text = f"{len(seeds)} seeds ({', '.join(str(seed.seed) for seed in seeds)})"
    if drops:
        text += f": lost {drop_text(measure, min(drops))} to {drop_text(measure, max(drops))}"
        if limit is not None:
            text += f", {sum(drop <= limit + 1e-12 for drop in drops)} of {len(drops)} within the limit"
    return [text]


def _dense_lines(answer: Answer) -> list[str]:
    """Say where losses are counted from several dense models: from a worse one, less can be lost."""
    found = set()
    for cell in answer.judged:
        score, drop = cell.candidate.score, cell.candidate.drop
        if score is not None and drop is not None:
            sign = -1 if score.measure.lower_is_better else 1
            found.add(float(f"{score.value + sign * drop.value:.9g}"))
    if len(found) < 2:
        return []
    measure = answer.judged[0].candidate.measure
    limit = (
        "--max-score"
        if measure.lower_is_better
        else "--min-accuracy"
        if measure.is_accuracy
        else "--min-score"
    )
    return [
        f"losses are counted from {len(found)} dense models, of {measure.name} {measure.text(min(found))} to "
        f"{measure.text(max(found))}: {limit} asks the same of all"
    ]


def _too_few(best: Judged) -> list[str]:
    """Say where so few images cannot tell so small a drop, whatever they are."""
    check = next((c for c in best.checks if c.name == DROP and c.grade == NOT_SURE), None)
    score = best.candidate.score
    if check is None or score is None or not score.measure.is_accuracy or not score.n:
        return []
    _, bound = paired_drop_bounds(0, 0, score.n, CONFIDENCE)
    if bound <= check.limit or check.limit <= 0:
        return []
    return [
        f"{score.n} test images are too few for that limit: with not one predicted otherwise the bound would "
        f"be {100 * bound:.2f} points"
    ]

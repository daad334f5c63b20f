"""The answer in words: sections of lines, the same for a terminal and for Markdown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pruning_core.records.score import Measure
from pruning_core.report.estimate import Estimate, latency_of, speedup_of
from pruning_core.report.number_format import bytes_text, number_text
from pruning_core.report.recommendation.answer import (
    CONTAMINATED,
    FAILED,
    LESS_SURE,
    OTHER_SEED,
    SLOWER,
    UNSCORED,
    Answer,
)
from pruning_core.report.recommendation.candidates import Candidate
from pruning_core.report.recommendation.drop import CONFIDENCE
from pruning_core.report.recommendation.exported import export_command, file_precision
from pruning_core.report.recommendation.limits import (
    BEYOND,
    DROP,
    LATENCY,
    NOT_SURE,
    SCORE,
    SIZE,
    Check,
    Limits,
)
from pruning_core.report.recommendation.ranking import Judged
from pruning_core.report.run_index import DENSE
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
    first = answer.judged[0].candidate
    record = first.record
    where = f"{record.get('device')}, {record.get('threads')} threads, batch {record.get('batch_size')}"
    files = ", ".join(dict.fromkeys(cell.candidate.index.file for cell in answer.judged))
    title = (
        f"{first.index.subject_of(record).network_title}: {where}, {first.index.run.machine_name} ({files})"
    )
    yield Section(title, [f"limits: {'; '.join(limit_texts(answer.limits, first.measure)) or 'none'}"])
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


def limit_texts(limits: Limits, measure: Measure) -> list[str]:
    """Return each limit in words."""
    found = []
    if limits.score is not None:
        word = "at most" if measure.lower_is_better else "at least"
        found.append(f"{measure.name} {word} {measure.text(limits.score)}")
    if limits.max_drop is not None:
        found.append(f"lost at most {drop_text(measure, limits.max_drop)}")
    if limits.max_latency_ms is not None:
        found.append(f"latency at most {limits.max_latency_ms:g} ms")
    if limits.max_size_bytes is not None:
        found.append(f"size at most {limits.max_size_bytes / 1e6:g} MB")
    return found


def drop_text(measure: Measure, drop: float) -> str:
    """Return how much is lost, with its unit."""
    return f"{100 * drop:.2f} points" if measure.is_accuracy else measure.text(drop)


def cell_lines(cell: Judged) -> list[str]:
    """Return score, drop, latency, speed-up and size of a cell, each with how sure it keeps its limit."""
    candidate, record = cell.candidate, cell.candidate.record
    measure, score = candidate.measure, candidate.score
    said = {check.name: verdict_text(check, measure) for check in cell.checks}
    lines = []
    if score is not None:
        between = _between(
            score.low, score.high, lambda v: measure.text(v, score.value, score.low, score.high)
        )
        lines.append(f"{measure.name} {score.text}{between}{said.get(SCORE, '')}")
    drop = candidate.drop
    if candidate.is_reference:
        lines.append(f"lost nothing: it is what losses are counted from{said.get(DROP, '')}")
    elif drop is not None:
        between = _between(drop.low, drop.high, lambda v: drop_text(measure, v).removesuffix(" points"))
        lines.append(f"lost {drop_text(measure, drop.value)}{between}{said.get(DROP, '')}")
    else:
        lines.append("lost: not known, the files have no dense model of it")
    latency = latency_of(record)
    if latency is not None:
        lines.append(f"latency {_number(latency, 'ms')} ms{said.get(LATENCY, '')}")
    lines += _speed_lines(candidate)
    if candidate.size_bytes is not None and candidate.expected_bytes is not None:
        file = file_precision(record)
        about = "" if file == "fp32" else f", about {bytes_text(candidate.expected_bytes)} as {file}"
        lines.append(f"weights {bytes_text(candidate.size_bytes)} in fp32{about}{said.get(SIZE, '')}")
    if not candidate.trusted:
        lines.append(f"~ {record['status'] if record['status'] == 'failed' else CONTAMINATED}")
    return lines


def verdict_text(check: Check, measure: Measure) -> str:
    """Return what a limit says of a cell: sure, or which bound crosses it."""
    if check.grade == BEYOND:
        return f": beyond {_of_check(check, measure, check.limit)}"
    if check.grade == NOT_SURE:
        if check.bound is None:
            return f": {NOT_SURE}, it has no interval"
        if check.name == SIZE:
            return f": {NOT_SURE}, weigh the exported file"
        return f": {NOT_SURE}, it may be {_of_check(check, measure, check.bound)}"
    return ": sure"


def reason_line(answer: Answer, reason: str, cells: list[Judged]) -> str:
    """Return one reason, how many cells have it, and the first of these."""
    measure = cells[0].candidate.measure
    limits = {check.name: _of_check(check, measure, check.limit) for check in cells[0].checks}
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
        return " (not known)" if check.value is None else f" ({_of_check(check, measure, check.value)})"
    latency = latency_of(record)
    return f" ({number_text(latency.value, 'ms')[0]} ms)" if latency else ""


def _of_check(check: Check, measure: Measure, value: float) -> str:
    """Return a value of a check with its unit; scores are turned back."""
    if check.name == DROP:
        return drop_text(measure, value)
    if check.name == SCORE:
        return measure.text(value if measure.lower_is_better else -value)
    return f"{number_text(value, 'ms')[0]} ms" if check.name == LATENCY else bytes_text(round(value))


def _nearest_lines(answer: Answer) -> list[str]:
    nearest = answer.nearest
    if nearest is None:
        return ["no cell has both a time and a score"]
    beyond = [check.name for check in nearest.checks if check.grade == BEYOND]
    missed = [*beyond, *([] if nearest.candidate.trusted else [CONTAMINATED])]
    return [f"closest: {answer.title(nearest)}, but for: {', '.join(missed)}", *cell_lines(nearest)]


def _second_lines(answer: Answer, best: Judged, second: Judged) -> list[str]:
    lines = cell_lines(second)
    if not answer.is_tie:
        return lines
    one, two = best.candidate.drop, second.candidate.drop
    less = ""
    if one is not None and two is not None and one.value != two.value:
        less = f"; {answer.title(best if one.value < two.value else second)} loses less"
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


def _speed_lines(candidate: Candidate) -> Iterator[str]:
    total, speedup = candidate.total, speedup_of(candidate.record)
    if total is not None and (total.low, total.high) != (1.0, 1.0):
        sure = total.low is not None and total.low > 1
        slower = total.high is not None and total.high < 1
        word = "sure to be faster" if sure else "slower" if slower else f"{NOT_SURE} to be faster"
        said = f": {word}" if candidate.trusted else ""
        yield f"speed-up {_number(total, 'factor')} over dense eager fp32{said}"
    if speedup is not None and candidate.record.get("method") != DENSE:
        yield f"speed-up {_number(speedup, 'factor')} over dense on the same backend"


def _number(estimate: Estimate, kind: str) -> str:
    number, interval = number_text(estimate, kind)
    return f"{number} [{interval}]" if interval else number


def _between(low: float | None, high: float | None, text: Callable[[float], str]) -> str:
    return "" if low is None or high is None else f" [{text(low)} to {text(high)}]"

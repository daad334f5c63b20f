"""One cell in words: what it scores, loses, takes and weighs, and how sure it keeps each limit."""

from collections.abc import Callable, Iterator

from pruning_core.records.controls import DENSE
from pruning_core.records.score import Measure
from pruning_core.report.estimate import Estimate, latency_of, speedup_of
from pruning_core.report.number_format import bytes_text, number_text
from pruning_core.report.recommendation.candidates import Candidate
from pruning_core.report.recommendation.exported import file_precision
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
        found.append(f"size at most {bytes_text(round(limits.max_size_bytes))}")
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
        lines.append(f"~ {'failed' if record['status'] == 'failed' else 'contaminated'}")
    return lines


def verdict_text(check: Check, measure: Measure) -> str:
    """Return what a limit says of a cell: sure, or which bound crosses it."""
    if check.grade == BEYOND:
        word = "below" if check.name == SCORE and not measure.lower_is_better else "above"
        return f": {word} {check_text(check, measure, check.limit)}"
    if check.grade == NOT_SURE:
        if check.bound is None:
            return f": {NOT_SURE}, it has no interval"
        if check.name == SIZE:
            return f": {NOT_SURE}, weigh the exported file"
        return f": {NOT_SURE}, it may be {check_text(check, measure, check.bound)}"
    return ": sure"


def check_text(check: Check, measure: Measure, value: float) -> str:
    """Return a value of a check with its unit; scores are turned back."""
    if check.name == DROP:
        return drop_text(measure, value)
    if check.name == SCORE:
        return measure.text(value if measure.lower_is_better else -value)
    return f"{number_text(value, 'ms')[0]} ms" if check.name == LATENCY else bytes_text(round(value))


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

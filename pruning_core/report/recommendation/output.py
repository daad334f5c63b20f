"""The answer as text: for a terminal, as Markdown, as JSON."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pruning_core.console.escaping import for_json, for_markdown, printable
from pruning_core.report.estimate import Estimate, latency_of, score_estimate_of, speedup_of
from pruning_core.report.recommendation.answer import Answer
from pruning_core.report.recommendation.exported import export_command
from pruning_core.report.recommendation.ranking import Judged
from pruning_core.report.recommendation.wording import sections_of


def _terminal(answer: Answer, width: int) -> Iterator[str]:
    for number, section in enumerate(sections_of(answer)):
        if section.heading:
            yield ("\n" if number else "") + _filled(section.heading, width, "")
        for line in section.lines:
            if section.is_code:  # to be copied: never broken
                yield f"  {printable(line)}\n"
            else:
                yield _filled(line, width, "  ")


def _filled(text: str, width: int, indent: str) -> str:
    lines = textwrap.fill(
        printable(text),
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{lines}\n"


def _markdown(answer: Answer, width: int) -> Iterator[str]:
    for number, section in enumerate(sections_of(answer)):
        gap = "\n" if number else ""
        if section.heading:
            yield f"{gap}### {for_markdown(section.heading)}\n"
        if section.is_code:
            yield "\n```sh\n" + "".join(f"{printable(line)}\n" for line in section.lines) + "```\n"
        else:
            yield "\n" + "".join(f"- {for_markdown(line)}\n" for line in section.lines)


def _json(answer: Answer, width: int) -> Iterator[str]:
    best = answer.best
    command, note = export_command(best.candidate.index, best.candidate.record) if best else ("", "")
    first = answer.measured
    record, limits = first.record, answer.limits
    content = {
        "question": {
            "model": record.get("model"),
            "dataset": first.index.dataset_of(record),
            "score": first.measure.name,
            "better": first.measure.better,
            "machine": first.index.run.machine_name,
            "machine_fingerprint": first.index.run.machine.get("fingerprint"),
            **{name: record.get(name) for name in ("device", "threads", "batch_size")},
        },
        "limits": {
            "max_drop": limits.max_drop,
            "max_score" if first.measure.lower_is_better else "min_score": limits.score,
            "max_latency_ms": limits.max_latency_ms,
            "max_size_bytes": limits.max_size_bytes,
        },
        "recommended": _cell(answer, best),
        "sure": best.is_sure if best else None,
        "next_best": _cell(answer, answer.second),
        "tie": answer.is_tie,
        "faster_but_not_sure": _cell(answer, answer.faster),
        "closest": _cell(answer, answer.nearest),
        "seeds": [{"seed": seed.seed, "drop": _bounds(seed.drop)} for seed in answer.seeds],
        "export": command or None,
        "export_note": note or None,
    }
    yield for_json(content, indent=1).rstrip()[:-1].rstrip() + ',\n "cells": ['
    end = "\n  "
    for cell in answer.judged:
        yield end + for_json(_cell(answer, cell))
        end = ",\n  "
    yield "]\n}\n"


def _cell(answer: Answer, cell: Judged | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    candidate, record = cell.candidate, cell.candidate.record
    names = ("cell", "key", "method", "ratio", "seed", "backend", "precision", "status", "contaminated")
    return {
        "title": answer.title(cell),
        "file": candidate.index.file,
        **{name: record.get(name) for name in names},
        "reason": answer.reasons.get(id(cell)),
        "grade": cell.grade,
        "score": _bounds(score_estimate_of(record)),
        "drop": _bounds(candidate.drop),
        "latency_ms": _bounds(latency_of(record)),
        "speedup": _bounds(speedup_of(record)),
        "total_speedup": _bounds(candidate.total),
        "size_bytes": candidate.size_bytes,
        "expected_bytes": candidate.expected_bytes,
        "limits": {check.name: check.grade for check in cell.checks},
    }


def _bounds(estimate: Estimate | None) -> dict[str, float | None] | None:
    return None if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}


FORMATS: Mapping[str, Callable[[Answer, int], Iterator[str]]] = {
    "terminal": _terminal,
    "json": _json,
    "markdown": _markdown,
}
"""Name of a format → how the answer is written in it, in chunks, for so many columns."""

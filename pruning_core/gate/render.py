"""The gate's verdicts for people and machines: terminal, Markdown, JUnit XML, JSON."""

import math
import sys
from typing import Any, NamedTuple, TextIO
from xml.etree import ElementTree

from pruning_core.console.escaping import for_json, for_markdown, for_xml, printable
from pruning_core.console.streams import find_width
from pruning_core.gate.backend import BACKEND_SUITE
from pruning_core.gate.finding import CANNOT_COMPARE, INCONCLUSIVE, PASS, REGRESSED, Finding
from pruning_core.gate.result import CellVerdict, GateResult
from pruning_core.records.run import Run

MARKS = {REGRESSED: "✗", CANNOT_COMPARE: "?", INCONCLUSIVE: "~", PASS: "✓"}
_COLOURS = {REGRESSED: "bold red", CANNOT_COMPARE: "magenta", INCONCLUSIVE: "yellow", PASS: "green"}

MAX_ROWS = 200
"""Rows of a table for people; the rest is counted. JUnit and JSON hold all."""

MIN_TO_GROUP = 4
"""From this many cells on, those of one suite, verdict and reason share a row."""


class Row(NamedTuple):
    """A row of a table for people: of one cell, or of many of one reason."""

    verdict: str
    name: str
    reason: str


def summarize(result: GateResult) -> list[str]:
    """Return what holds for the whole run, a line each: the verdict first, then notes and error rates."""
    counts = ", ".join(f"{number} {verdict}" for verdict, number in result.counts.items() if number)
    backends = sum(cell.suite == BACKEND_SUITE for cell in result.cells)
    of_what = f"{len(result.cells) - backends} cells" + (
        f" and {backends} backends as wholes" if backends else ""
    )
    lines = [f"{result.verdict} (exit code {result.exit_code}): {counts}, of {of_what}"]
    if result.added:
        names = ", ".join(f"{suite}/{cell}" for suite, cell in result.added[:5])
        more = f", and {len(result.added) - 5} more" if len(result.added) > 5 else ""
        lines.append(f"added, so not in the baseline and not judged: {names}{more}")
    lines += result.notes
    lines.append(_error_rates(result))
    lines.append(f"baseline: {_run_line(result.baseline)}")
    lines.append(f"this run: {_run_line(result.new)}")
    return lines


def print_terminal(result: GateResult, file: TextIO | None = None, width: int | None = None) -> None:
    """Print the table, what changed first, then the summary; in colour when `file` is a terminal.

    Args:
        result: The verdicts.
        file: Where to; standard output by default.
        width: Columns; by default those of the terminal, or as `find_width` says where there is none.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    file = file or sys.stdout
    width = width or find_width(file)
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("verdict", no_wrap=True)
    table.add_column("cell, and why", overflow="fold")
    shown, hidden = rows_of(result)
    for row in shown:
        verdict = Text(f"{MARKS[row.verdict]} {row.verdict}", style=_COLOURS[row.verdict])
        name = Text(f"{printable(row.name)}\n", style="bold")
        table.add_row(verdict, name.append(printable(row.reason), style="not bold"))
    if shown:
        console.print(table)
    if hidden:
        console.print(Text(hidden, style="dim"))
    console.print()
    first, *others = summarize(result)
    console.print(Text(printable(first), style=_COLOURS[result.verdict]))
    for line in others:
        console.print(Text(f"- {printable(line)}"))


def to_markdown(result: GateResult) -> str:
    """Return a summary for a CI page."""
    first, *others = summarize(result)
    shown, hidden = rows_of(result)
    lines = [f"## pruning-bench gate: {MARKS[result.verdict]} {for_markdown(first)}", ""]
    if shown:
        lines += ["| verdict | cell | why |", "|---|---|---|"]
        lines += [
            f"| {MARKS[row.verdict]} {row.verdict} | {for_markdown(row.name)} | {for_markdown(row.reason)} |"
            for row in shown
        ]
        lines.append("")
    if hidden:
        lines += [hidden, ""]
    return "\n".join(lines + [f"- {for_markdown(line)}" for line in others]) + "\n"


def to_junit(result: GateResult) -> str:
    """Return JUnit XML with one case for each cell.

    Regressed is a failure, cannot-compare an error. Inconclusive is skipped, with the reason: nothing has
    failed, and where the exit code is 3 CI sees it there. It is a failure only where the policy asks for it
    (`inconclusive = "fail"`), and passed by the policy's `pass`.
    """
    suite = ElementTree.Element("testsuite", name="pruning-bench gate", tests=str(len(result.cells)))
    tally = {"failure": 0, "error": 0, "skipped": 0}
    for cell in result.cells:
        case = ElementTree.SubElement(suite, "testcase", classname=for_xml(cell.suite))
        case.set("name", for_xml(cell.cell))
        case.set("time", "0")
        tag = {REGRESSED: "failure", CANNOT_COMPARE: "error"}.get(cell.verdict, "")
        if cell.verdict == INCONCLUSIVE:
            tag = "failure" if cell.on_inconclusive == "fail" else "skipped"
        if tag:
            tally[tag] += 1
            ElementTree.SubElement(case, tag, message=for_xml(f"{cell.verdict}: {cell.reason}"))
        else:
            ElementTree.SubElement(case, "system-out").text = for_xml(cell.reason)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(tally[tag]))
    ElementTree.SubElement(suite, "system-out").text = for_xml("\n".join(summarize(result)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    # By name: "unicode" would declare the encoding of the terminal.
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content.decode("utf-8") + "\n"


def to_json(result: GateResult) -> str:
    """Return everything, as JSON with a line for each cell; a number that is not finite is null."""
    content = {
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "counts": result.counts,
        "summary": summarize(result),
        "familywise_error": result.familywise_error,
        "comparisons": result.comparisons,
        "power": result.power,
        "detectable_slowdown": result.detectable_slowdown,
        "detectable_slowdown_worst": result.detectable_slowdown_worst,
        "detectable_slowdown_of_backend": result.detectable_slowdown_of_backend,
        "added": [{"suite": suite, "cell": cell} for suite, cell in result.added],
    }
    head = for_json(_finite(content), indent=1).removesuffix("\n}")
    # A line for each: with `indent`, Python's encoder is many times slower, and there may be 100,000 of them.
    cells = ",\n  ".join(map(_cell_json, result.cells))
    return f'{head},\n "cells": [\n  {cells}\n ]\n}}\n'


def _cell_json(cell: CellVerdict) -> str:
    content = {name: getattr(cell, name) for name in ("suite", "cell", "verdict", "reason")}
    return for_json(_finite({**content, "findings": [_finding_json(finding) for finding in cell.findings]}))


def _finding_json(finding: Finding) -> dict[str, Any]:
    change, evidence = finding.change, finding.evidence
    return {
        "metric": finding.metric,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "baseline": finding.baseline,
        "new": finding.new,
        "change": change and change.value,
        "change_low": change and change.low,
        "change_high": change and change.high,
        "changed": finding.changed,
        "p_value": evidence and evidence.p_value,
        "within_tolerance": evidence and evidence.within_tolerance,
        "counter_evidence": evidence and evidence.counter_evidence,
        "noise": evidence and evidence.noise,
    }


def rows_of(result: GateResult) -> tuple[list[Row], str]:
    """Return a row for each cell that changed, one for many cells of one reason, and what they leave out."""
    changed = [cell for cell in result.cells if cell.changed]
    unchanged = len(result.cells) - len(changed)
    by_reason: dict[tuple[str, str, str], list[CellVerdict]] = {}
    for cell in changed:
        by_reason.setdefault((cell.verdict, cell.suite, cell.reason), []).append(cell)
    rows = []
    for (verdict, suite, reason), cells in by_reason.items():
        if len(cells) >= MIN_TO_GROUP:
            rows.append(Row(verdict, f"{suite}: {len(cells)} cells, such as {cells[0].cell}", reason))
        else:
            rows += [Row(verdict, f"{suite}/{cell.cell}", reason) for cell in cells]
    hidden = []
    if len(rows) > MAX_ROWS:
        hidden.append(f"{len(rows) - MAX_ROWS} more rows")
    if unchanged:
        hidden.append(f"{unchanged} cells pass without a change worth a row")
    return rows[:MAX_ROWS], "; ".join(hidden)


def _error_rates(result: GateResult) -> str:
    if not result.comparisons:
        return (
            "nothing that carries noise was compared: no chance of a false alarm, none of finding a slow-down"
        )
    text = (
        f"chance of any false alarm among the {result.comparisons} noisy comparisons of this run: at most "
        f"{result.familywise_error:.0%} (Holm), as far as two runs differ by the noise between rounds; "
        "what differs between processes has to fit in the tolerance"
    )
    if result.new.repetitions:
        text += f". Judged again after each of {len(result.new.repetitions) + 1} runs, such chances add up"
    if result.detectable_slowdown is None or result.detectable_slowdown_worst is None:
        return text
    text = (
        f"{text}. Smallest slow-down it would have found with {result.power:.0%} power (an estimate): "
        f"{_slowdown(result.detectable_slowdown)} in the median latency cell, "
        f"{_slowdown(result.detectable_slowdown_worst)} in the noisiest"
    )
    if result.detectable_slowdown_of_backend is None:
        return text
    return f"{text}, {_slowdown(result.detectable_slowdown_of_backend)} of a backend as a whole"


def _slowdown(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else "none, with so few rounds for so many cells"


def _run_line(run: Run) -> str:
    name = ", ".join(path.name for path in (run.path, *run.repetitions))
    facts = (name, run.machine_name, run.datetime[:19], run.commit[:12])
    return " · ".join(fact for fact in facts if fact)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

"""What a run says at its end: what it found, what it did not time, where time went, what disturbed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from pruning_core.records.fields import Record
from pruning_core.records.target_lines import target_lines
from pruning_core.suites.grid_choice import NOTHING_NAMED
from pruning_core.suites.results import json_target
from pruning_core.suites.steps import CONTAMINATED, NOT_TIMED, not_timed_reason
from pruning_core.suites.summary_scores import Summary
from pruning_core.suites.summary_table import summary_fields, summary_table

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid
    from pruning_core.suites.harness import Harness

_ATTRIBUTE = "pruning_bench_summary"
"""Of a test's report: attributes of a report reach the main process from a worker of xdist too."""


def attach_summary(report: pytest.TestReport, record: Record) -> None:
    """Keep in a test's report what the summary shows of its record."""
    setattr(report, _ATTRIBUTE, summary_fields(record))


def summarize(
    terminalreporter: pytest.TerminalReporter,
    harness: Harness | None,
    took_s: float,
    not_written: Sequence[str],
) -> list[str]:
    """Return the lines of our summary; none where our suites did not run.

    Args:
        terminalreporter: Has the reports of all tests.
        harness: That of this process; under xdist there is none.
        took_s: Seconds since the session began.
        not_written: Lines about results that could not be written.
    """
    summaries: list[Summary] = [
        getattr(report, _ATTRIBUTE)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if hasattr(report, _ATTRIBUTE)
    ]
    if harness is not None and harness.control_problem():
        summaries = [{**s, "contaminated": True} if "contaminated" in s else s for s in summaries]
    lines = summary_table(summaries)
    lines += target_lines(summaries, named=True)
    if harness is not None:
        lines += out_of_reach(harness.grid)
    if lines:
        lines += [*_where_all_is(terminalreporter.config), ""]
    lines += [*explain_skipped(terminalreporter), *not_written]
    if harness is not None:
        lines += summarize_times(harness, took_s)
    return lines


def out_of_reach(grid: Grid) -> Iterator[str]:
    """Yield a line for each target of a run that no ratio meets."""
    from pruning_core.config.searched_grid import SearchedGrid

    if isinstance(grid, SearchedGrid):
        for (model, _, method), item in grid.found:
            if not item.reached:
                yield f"target {item.wanted}: out of reach ({model} {method} {item.how} gives {item.got})"


def _where_all_is(config: pytest.Config) -> Iterator[str]:
    """Yield how to see every cell with all its figures."""
    if not not_timed_reason(config):
        target = json_target(config)
        asked = "" if target else "Give --benchmark-json FILE; then all"
        yield f"{asked or 'All'} cells and figures: pruning-bench report {target or 'FILE'}"


def explain_skipped(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """Yield a line for each kind of reason for which tests of the suites were skipped."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    not_timed = sum(NOT_TIMED in reason for reason in reasons)
    if not_timed:
        yield (
            f"{not_timed} cells were not timed: pytest-benchmark is switched off by --benchmark-disable or "
            "--benchmark-skip, or because xdist would run cells side by side. Run without them."
        )
    contaminated = sum(CONTAMINATED in reason for reason in reasons)
    if contaminated:
        yield f"{contaminated} tests gave no verdict: their times are contaminated. Measure them again."
    if any(NOTHING_NAMED in reason for reason in reasons):
        yield f"{NOTHING_NAMED}."


def summarize_times(harness: Harness, took_s: float) -> Iterator[str]:
    """Yield where the time of a run went, and what disturbed its times.

    Args:
        harness: That of the run.
        took_s: Seconds since the session began.
    """
    budget = harness.budget
    yield (
        f"{took_s:.0f} s: {budget.timed_s:.0f} s ({budget.timed_s / took_s:.0%}) inside what is "
        f"measured, {budget.idle_wait_s:.0f} s waiting until threads were idle, "
        f"{budget.checkpoints_s:.0f} s to make or load checkpoints, "
        f"{budget.backend_setup_s:.0f} s to make them ready for backends."
    )
    for reason in dict.fromkeys(record["contention"] for record in harness.contended_records):
        cells = sum(record["contention"] == reason for record in harness.contended_records)
        yield f"{cells} timed cells are contaminated: {reason} meanwhile."
    problem = harness.control_problem()
    if problem:
        yield f"This run's times are contaminated, no verdict will be given on them: {problem}."
        yield "Close what else runs on this machine, or raise [latency] max_rounds, and measure again."

"""What a run says at its end: what was not timed, where the time went, whether times can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pruning_core.suites.grid_choice import NOTHING_NAMED
from pruning_core.suites.steps import CONTAMINATED, NOT_TIMED

if TYPE_CHECKING:
    from pruning_core.suites.harness import Harness


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
        yield "Close what else runs on this machine, or raise [latency] rounds, and measure again."

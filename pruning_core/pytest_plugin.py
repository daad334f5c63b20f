"""The pytest side: options, fixtures, and the hooks of pytest-benchmark. Wires, and nothing else.

A project asks for it: its conftest.py, in pytest's root folder, says

    pytest_plugins = ["pruning_core.pytest_plugin"]

A suite asks for one of the fixtures `variant` (a checkpoint), `accuracy_cell` (× backend × precision),
`latency_cell` (× batch size) or `dense_variant` (a network to train); it then runs once for each of them in
the grid. `harness` measures, `benchmark` is pytest-benchmark's own, `paired` (`paired_fixture.py`) compares
any two callables. Loaded with every test of the project, so that nothing heavy is imported before a suite
asks. PYTEST_DONT_REWRITE: it may be imported already.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pruning_core.errors import PruningBenchError
from pruning_core.process.interrupts import handle_session_signals
from pruning_core.process.session_signals import SessionSignals
from pruning_core.suites.benchmark_table import group_by_suite, show_telling_columns
from pruning_core.suites.cell_tests import (
    cell_fixture_of,
    note_planned,
    parametrize_with_grid,
    parametrize_with_nothing,
    sort_in_grid_order,
)
from pruning_core.suites.grid_choice import NOTHING_NAMED, asks_for_a_grid, grid_of, is_named, not_empty
from pruning_core.suites.options import add_options, explain_later_clashes
from pruning_core.suites.results import check_target, json_target, rescue_results
from pruning_core.suites.session_harness import harness_if_any, harness_of
from pruning_core.suites.steps import record_samples, require_speedup, skip_unless_timing
from pruning_core.suites.summary import attach_summary, summarize
from pruning_core.suites.user_errors import exit_on_user_error, exit_without_benchmark, report_error

if TYPE_CHECKING:
    from pruning_core.config.thresholds import Thresholds
    from pruning_core.suites.harness import Harness

__all__ = ["record_samples", "require_speedup", "skip_unless_timing"]  # for suites

pytest_plugins = ["pruning_core.paired_fixture"]

_OLD_ENTRY_POINT = "pruning_bench"

_STARTED = pytest.StashKey[float]()
_NOT_WRITTEN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options of the grid; a clash with an option of the project is one line."""
    # An older installation has an entry point too: whichever is second must not load us again.
    by_name = pluginmanager.get_name(sys.modules[__name__]) == __name__
    pluginmanager.set_blocked(_OLD_ENTRY_POINT if by_name else __name__)
    add_options(parser, pluginmanager)
    explain_later_clashes(pluginmanager)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a wrong option at once, in one line; without options nothing is read until a suite asks."""
    config = session.config
    config.stash[_STARTED] = time.perf_counter()
    config.pluginmanager.register(SessionSignals())
    config.stash[_NOT_WRITTEN] = []
    with exit_on_user_error():
        if asks_for_a_grid(config):
            grid_of(config)
        target = json_target(config)
        if target is not None and not hasattr(config, "workerinput"):
            check_target(target)
    rescue_results(config, config.stash[_NOT_WRITTEN].append)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End with exit code 2 when results could not be written where they were asked for."""
    lines = session.config.stash.get(_NOT_WRITTEN, [])
    if lines and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = 2
    if lines and not session.config.pluginmanager.hasplugin("terminalreporter"):
        print(*lines, sep="\n", file=sys.stderr)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a suite once for each checkpoint or cell of the grid."""
    fixture = cell_fixture_of(metafunc)
    if not fixture:
        return
    if not is_named(metafunc.config):
        parametrize_with_nothing(metafunc, fixture)
        return
    handle_session_signals()
    with exit_on_user_error():
        parametrize_with_grid(metafunc, fixture, grid_of(metafunc.config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the grid's order, whatever shuffles tests: controls first, one backend after the other."""
    sort_in_grid_order(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which cells will run, before the first does."""
    note_planned(session)


@pytest.fixture(scope="session")
def harness(pytestconfig: pytest.Config) -> Harness:
    """Makes and measures the cells of the grid; see `suites/harness.py`."""
    if not is_named(pytestconfig):
        pytest.skip(NOTHING_NAMED)
    return harness_of(pytestconfig)


@pytest.fixture(scope="module")
def thresholds(request: pytest.FixtureRequest) -> Thresholds:
    """Accuracy limits: of `--thresholds`, else of thresholds.toml beside the suite, else none."""
    from pruning_core.config.thresholds import Thresholds, read_thresholds

    named = request.config.getoption("--thresholds")
    beside = request.path.parent / "thresholds.toml"
    with exit_on_user_error():
        if named is not None:
            return read_thresholds(Path(not_empty(named, "--thresholds")))
        return read_thresholds(beside) if beside.exists() else Thresholds(())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """As `pytest_pyfunc_call`, for a fixture that asks for the harness; name what is missing in one line."""
    try:
        return (yield)
    except PruningBenchError as error:
        report_error(error, item)
    except pytest.FixtureLookupError as error:
        exit_without_benchmark(item, error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Skip a cell that is unavailable, end the session on what the user must mend first."""
    if "harness" not in pyfuncitem.fixturenames:
        return (yield)
    try:
        return (yield)
    except PruningBenchError as error:
        report_error(error, pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write a failed assertion into the entry's record, and what the summary shows of it into the report."""
    report = yield
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if call.when == "call" and benchmark is not None and "schema_version" in benchmark.extra_info:
        record = benchmark.extra_info
        if call.excinfo is not None and not report.skipped:
            lines = str(call.excinfo.value).strip().splitlines()
            record.update(status="failed", failure=lines[0] if lines else call.excinfo.typename)
        attach_summary(report, record)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Describe the machine, with one fingerprint, when a suite has run."""
    harness = harness_if_any(config)
    if harness is not None:
        from pruning_core.system.machine import describe_machine

        machine_info["pruning_bench"] = describe_machine(harness.models.threads)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Mark every latency record of a run whose A/A control left the tolerance; leave names, no paths."""
    harness = harness_if_any(config)
    if harness is None:
        return
    from pruning_core.suites.benchmark_json import keep_names_only
    from pruning_core.suites.target_fields import contaminate

    keep_names_only(output_json)
    if harness.control_problem():
        for entry in output_json["benchmarks"]:
            if "contaminated" in entry["extra_info"]:
                contaminate(entry["extra_info"])


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_benchmark_group_stats(
    config: pytest.Config, benchmarks: list[Any], group_by: str
) -> Generator[None, Any, Any]:
    """Have pytest-benchmark's own tables show times alone, one table for each suite."""
    if group_by_suite(config, benchmarks, group_by):
        show_telling_columns(config)
    return (yield)


@pytest.hookimpl(trylast=True)  # after pytest-benchmark's tables
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was found in one table; name what was not measured, not written, or is contaminated."""
    took_s = time.perf_counter() - config.stash[_STARTED]
    not_written = config.stash.get(_NOT_WRITTEN, None) or []
    lines = summarize(terminalreporter, harness_if_any(config), took_s, not_written)
    if lines:
        terminalreporter.section("pruning-bench")
        for line in lines:
            terminalreporter.line(line)

"""The pytest side: options, fixtures, and the hooks of pytest-benchmark. Wires, and nothing else.

A project asks for it: its conftest.py, in pytest's root folder, says

    pytest_plugins = ["pruning_core.pytest_plugin"]

A suite asks for one of the fixtures `variant` (a checkpoint), `accuracy_cell` (× backend × precision),
`latency_cell` (× batch size) or `dense_variant` (a network to train); it then runs once for each of them in
the grid. `harness` measures, `benchmark` is pytest-benchmark's own. Loaded with every test of the project, so
that nothing heavy is imported before a suite asks. PYTEST_DONT_REWRITE: it may be imported already.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from pruning_core.errors import BackendError, NotTimedError, PruningBenchError, UnavailableError
from pruning_core.process.interrupts import handle_session_signals
from pruning_core.process.session_signals import SessionSignals
from pruning_core.suites.grid_choice import NOTHING_NAMED, exit_on_user_error, grid_of, grid_path, is_named
from pruning_core.suites.options import AXES, add_options, explain_later_clashes
from pruning_core.suites.results import check_target, json_target, rescue_results
from pruning_core.suites.steps import not_timed_reason, record_samples, require_speedup, skip_unless_timing
from pruning_core.suites.summary import explain_skipped, summarize_times
from pruning_core.suites.wrapped_calls import WRAP_CALL

if TYPE_CHECKING:
    from pruning_core.config.cells import Cell, Variant
    from pruning_core.config.thresholds import Thresholds
    from pruning_core.suites.harness import Harness

__all__ = ["record_samples", "require_speedup", "skip_unless_timing"]  # for suites

_OLD_ENTRY_POINT = "pruning_bench"
_CELL_FIXTURES = ("variant", "accuracy_cell", "latency_cell", "dense_variant")

_PLANNED = pytest.StashKey[tuple["Cell", ...]]()
_VARIANTS = pytest.StashKey[tuple["Variant", ...]]()
_HARNESS = pytest.StashKey["Harness"]()
_STARTED = pytest.StashKey[float]()
_NOT_WRITTEN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options of the grid; where the project has one of that name, say so in one line."""
    # An older installation has an entry point too: whoever comes second must not load us again.
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
    options = ("--grid", "--scope", "--target-error", "--seed", *(f"pruning_{name}" for name in AXES))
    with exit_on_user_error():
        if any(config.getoption(option) is not None for option in options):
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
    wanted = [name for name in _CELL_FIXTURES if name in metafunc.fixturenames]
    if not wanted or "harness" not in metafunc.fixturenames:
        return
    if not is_named(metafunc.config):
        skipped = pytest.param(None, marks=pytest.mark.skip(reason=NOTHING_NAMED), id="nothing-named")
        metafunc.parametrize(wanted[0], [skipped])
        return
    from pruning_core.config import cells

    handle_session_signals()
    with exit_on_user_error():
        grid = grid_of(metafunc.config)
    points: Sequence[Variant | Cell]
    if wanted[0] == "variant":
        points = list(cells.variants(grid))
    elif wanted[0] == "dense_variant":
        points = [variant for variant in cells.variants(grid) if variant.is_dense]
    elif wanted[0] == "accuracy_cell":
        points = list(cells.accuracy_cells(grid))
    else:
        points = list(cells.latency_cells(grid))
    metafunc.parametrize(wanted[0], points, ids=[point.id for point in points])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the grid's order, whatever shuffles tests: controls first, one backend after the other."""
    mine = [i for i in items if isinstance(i, pytest.Function) and set(_CELL_FIXTURES) & set(i.fixturenames)]
    mine = [i for i in mine if "harness" in i.fixturenames]
    if not mine:
        return
    positions = [index for index, item in enumerate(items) if item in mine]
    order = {name: rank for rank, name in enumerate(_CELL_FIXTURES)}

    def in_grid_order(item: pytest.Function) -> tuple[int, str, int]:
        name = next(n for n in _CELL_FIXTURES if n in item.fixturenames)
        return order[name], item.nodeid.partition("[")[0], item.callspec.indices[name]

    for index, item in zip(positions, sorted(mine, key=in_grid_order), strict=True):
        items[index] = item


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which latency cells will run: they are timed in one session."""
    planned: tuple[Cell, ...] = tuple(
        cast("Cell", item.callspec.params["latency_cell"])
        for item in session.items
        if isinstance(item, pytest.Function)
        and {"latency_cell", "harness"} <= set(item.fixturenames)
        and item.callspec.params["latency_cell"] is not None
    )
    session.config.stash[_PLANNED] = planned
    session.config.stash[_VARIANTS] = tuple(
        dict.fromkeys(
            variant
            for item in session.items
            if isinstance(item, pytest.Function) and "harness" in item.fixturenames
            for name in ("variant", "accuracy_cell", "latency_cell")
            if name in item.fixturenames and item.callspec.params[name] is not None
            for variant in _variants_of(item.callspec.params[name])
        )
    )


def _variants_of(point: Any) -> tuple[Variant, ...]:
    """Return the checkpoints that a point of the grid needs: its own, and the dense one beside it."""
    variant: Variant = getattr(point, "variant", point)
    return (variant.dense, variant)


@pytest.fixture(scope="session")
def harness(pytestconfig: pytest.Config) -> Harness:
    """Makes and measures the cells of the grid; see `suites/harness.py`."""
    if not is_named(pytestconfig):
        pytest.skip(NOTHING_NAMED)
    return _harness_of(pytestconfig)


@pytest.fixture(scope="module")
def thresholds(request: pytest.FixtureRequest) -> Thresholds:
    """Accuracy limits: of `--thresholds`, else of thresholds.toml beside the suite, else none."""
    from pruning_core.config.thresholds import Thresholds, read_thresholds

    named = request.config.getoption("--thresholds")
    beside = request.path.parent / "thresholds.toml"
    with exit_on_user_error():
        if named:
            return read_thresholds(Path(named))
        return read_thresholds(beside) if beside.exists() else Thresholds(())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """As `pytest_pyfunc_call`, for a fixture that asks for the harness; name what is missing in one line."""
    try:
        return (yield)
    except PruningBenchError as error:
        _report_error(error, item)
    except pytest.FixtureLookupError as error:
        if error.argname == "benchmark" and "harness" in getattr(item, "fixturenames", ()):
            pytest.exit(
                "error: the suites of pruning-bench need pytest-benchmark; it is switched off "
                "(-p no:benchmark), or not installed. Run pytest without that option",
                returncode=2,
            )
        raise


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Skip what is not there, end the session on what the user must mend first."""
    if "harness" not in pyfuncitem.fixturenames:
        return (yield)
    try:
        return (yield)
    except PruningBenchError as error:
        _report_error(error, pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write a failed assertion into the entry's record too."""
    report = yield
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if call.when == "call" and call.excinfo is not None and not report.skipped and benchmark is not None:
        record = benchmark.extra_info
        if "schema_version" in record:
            lines = str(call.excinfo.value).strip().splitlines()
            record.update(status="failed", failure=lines[0] if lines else call.excinfo.typename)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Describe the machine, with one fingerprint, when a suite has run."""
    harness = config.stash.get(_HARNESS, None)
    if harness is not None:
        from pruning_core.system.machine import describe_machine

        machine_info["pruning_bench"] = describe_machine(harness.models.threads)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Mark every latency record of a run whose A/A control left the tolerance; leave names, no paths."""
    harness = config.stash.get(_HARNESS, None)
    if harness is None:
        return
    from pruning_core.suites.benchmark_json import keep_names_only

    keep_names_only(output_json)
    if harness.control_problem():
        for entry in output_json["benchmarks"]:
            if "contaminated" in entry["extra_info"]:
                entry["extra_info"]["contaminated"] = True


@pytest.hookimpl(trylast=True)  # after pytest-benchmark's tables
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so when something was not measured or not written, or when no verdict can be given on times."""
    lines = [*explain_skipped(terminalreporter), *config.stash.get(_NOT_WRITTEN, [])]
    harness = config.stash.get(_HARNESS, None)
    if harness is not None:
        lines += summarize_times(harness, time.perf_counter() - config.stash[_STARTED])
    if lines:
        terminalreporter.section("pruning-bench")
        for line in lines:
            terminalreporter.line(line)


def _report_error(error: PruningBenchError, item: pytest.Item) -> NoReturn:
    """Skip, fail or end the session, each with one line."""
    if isinstance(error, NotTimedError):
        pytest.skip(str(error))
    if isinstance(error, UnavailableError):
        if _named_backends(item):
            pytest.exit(f"error: {error}", returncode=2)
        pytest.skip(str(error))
    if isinstance(error, BackendError):
        pytest.fail(f"error: {error}", pytrace=False)  # this cell's, not the run's
    pytest.exit(f"error: {error}", returncode=error.exit_code)


def _harness_of(config: pytest.Config) -> Harness:
    if _HARNESS not in config.stash:
        from pruning_core.config.cells import explain_labels
        from pruning_core.config.grid import explain_other_chain
        from pruning_core.progress import ProgressDisplay
        from pruning_core.store import Store, default_root
        from pruning_core.store.attempts import keep_traces_on
        from pruning_core.suites.forecast import announce
        from pruning_core.suites.harness import Harness
        from pruning_core.workspace import Workspace

        with _uncaptured(config)(), suppress(OSError):
            keep_traces_on(os.dup(2))
        with exit_on_user_error():
            display = ProgressDisplay(uncaptured=_uncaptured(config))
            root = Path(config.getoption("--store") or default_root())
            data_root = config.getoption("--data-root")
            grid = grid_of(config)
            if renamed := explain_labels(grid.dataset):
                display.say(renamed)
            workspace = Workspace(
                store=Store(root, say=display.say),
                display=display,
                data_root=Path(data_root) if data_root else None,
                download=config.getoption("--download"),
                normalize=grid.normalize,
            )
            if config.getoption("pruning_ratios"):
                note = explain_other_chain(grid_path(config), grid)
                if note:
                    display.say(note)
            wanted = config.stash.get(_VARIANTS, ())
            workspace.before_first_training = lambda: announce(wanted, grid, workspace)
            planned = config.stash.get(_PLANNED, ())
            config.stash[_HARNESS] = Harness(
                grid, workspace, planned, not_timed_reason(config), config.stash.get(WRAP_CALL, None)
            )
    return config.stash[_HARNESS]


def _uncaptured(config: pytest.Config) -> Any:
    capture = config.pluginmanager.getplugin("capturemanager")
    from contextlib import nullcontext

    return capture.global_and_fixture_disabled if capture is not None else nullcontext


def _named_backends(item: pytest.Item) -> bool:
    """Tell whether the command line named backends for one device, so that skipping one would mislead."""
    return bool(item.config.getoption("pruning_backends")) and len(grid_of(item.config).devices) == 1

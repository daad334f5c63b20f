"""The pytest side: options, fixtures, and the hooks of pytest-benchmark. Wires, and nothing else.

A suite asks for one of the fixtures `variant` (a checkpoint), `accuracy_cell` (× backend × precision),
`latency_cell` (× batch size) or `dense_variant` (a network to train); it then runs once for each of them in
the grid. `harness` measures, `benchmark` is pytest-benchmark's own. Loaded in every pytest run where
pruning-bench is installed, so that nothing heavy is imported before a suite asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pruning_core.errors import BackendError, PruningBenchError, UnavailableError
from pruning_core.interrupts import handle_session_signals
from pruning_core.session_signals import SessionSignals

if TYPE_CHECKING:
    from pruning_core.cells import Cell, Variant
    from pruning_core.grid import Grid
    from pruning_core.harness import Harness
    from pruning_core.records import Record
    from pruning_core.thresholds import Thresholds

_CELL_FIXTURES = ("variant", "accuracy_cell", "latency_cell", "dense_variant")

_GRID = pytest.StashKey["Grid"]()
_PLANNED = pytest.StashKey[tuple["Cell", ...]]()
_VARIANTS = pytest.StashKey[tuple["Variant", ...]]()
_HARNESS = pytest.StashKey["Harness"]()
_STARTED = pytest.StashKey[float]()

# Option → the field of the grid it replaces.
_AXES = {
    "model": "networks, separated by commas",
    "dataset": "datasets, separated by commas",
    "method": "pruning methods, separated by commas",
    "ratios": "0.25,0.5 or start:stop:step, the stop included",
    "backends": "name or name:precision, separated by commas",
    "devices": "cpu, cuda:0, …, separated by commas",
    "batch_sizes": "whole numbers, separated by commas",
    "threads": "numbers of CPU threads, separated by commas; 0: all usable",
}

_NOT_MEASURED = "times are not measured"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the grid; each replaces what the grid file says."""
    group = parser.getgroup("pruning-bench", "pruning-bench: what to measure")
    group.addoption(
        "--grid", metavar="NAME|FILE", help="grid file, or its name in bench/grids (default: quick)"
    )
    for name, text in _AXES.items():
        group.addoption(f"--{name.replace('_', '-')}", dest=f"pruning_{name}", metavar="LIST", help=text)
    group.addoption(
        "--scope", metavar="local|global", help="rank channels within each layer, or over all together"
    )
    group.addoption(
        "--precision",
        type=float,
        metavar="FRACTION",
        help="a latency cell is done when its speed-up is known within ± this (default: 0.02)",
    )
    group.addoption(
        "--seed", type=int, metavar="N", help="of training and fine-tuning (default: what the grid says)"
    )
    group.addoption(
        "--store", metavar="DIR", help="where checkpoints are kept (default: the user's cache folder)"
    )
    group.addoption("--data-root", metavar="DIR", help="where torchvision's datasets lie")
    group.addoption("--download", action="store_true", help="let a dataset named in the grid be downloaded")
    group.addoption(
        "--thresholds", metavar="FILE", help="accuracy limits (default: thresholds.toml beside the suite)"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a wrong option at once, in one line; without options nothing is read until a suite asks."""
    session.config.stash[_STARTED] = time.perf_counter()
    session.config.pluginmanager.register(SessionSignals())
    options = ("--grid", "--scope", "--precision", "--seed", *(f"pruning_{name}" for name in _AXES))
    if any(session.config.getoption(option) is not None for option in options):
        with _exit_on_user_error():
            _grid_of(session.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a suite once for each checkpoint or cell of the grid."""
    wanted = [name for name in _CELL_FIXTURES if name in metafunc.fixturenames]
    if not wanted or "harness" not in metafunc.fixturenames:
        return
    from pruning_core import cells

    handle_session_signals()
    with _exit_on_user_error():
        grid = _grid_of(metafunc.config)
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
    places = [index for index, item in enumerate(items) if item in mine]
    order = {name: position for position, name in enumerate(_CELL_FIXTURES)}

    def in_grid_order(item: pytest.Function) -> tuple[int, str, int]:
        name = next(n for n in _CELL_FIXTURES if n in item.fixturenames)
        return order[name], item.nodeid.partition("[")[0], item.callspec.indices[name]

    for index, item in zip(places, sorted(mine, key=in_grid_order), strict=True):
        items[index] = item


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which latency cells will run: they are measured on one tour."""
    planned: tuple[Cell, ...] = tuple(
        cast("Cell", item.callspec.params["latency_cell"])
        for item in session.items
        if isinstance(item, pytest.Function) and {"latency_cell", "harness"} <= set(item.fixturenames)
    )
    session.config.stash[_PLANNED] = planned
    session.config.stash[_VARIANTS] = tuple(
        dict.fromkeys(
            variant
            for item in session.items
            if isinstance(item, pytest.Function) and "harness" in item.fixturenames
            for name in ("variant", "accuracy_cell", "latency_cell")
            if name in item.fixturenames
            for variant in _variants_of(item.callspec.params[name])
        )
    )


def _variants_of(point: Any) -> tuple[Variant, ...]:
    """Return the checkpoints that a point of the grid needs: its own, and the dense one beside it."""
    from pruning_core.resident import dense_of

    variant = getattr(point, "variant", point)
    return (dense_of(variant), variant)


@pytest.fixture(scope="session")
def harness(pytestconfig: pytest.Config) -> Harness:
    """Makes and measures the cells of the grid; see `pruning_core.harness`."""
    return _harness_of(pytestconfig)


@pytest.fixture(scope="module")
def thresholds(request: pytest.FixtureRequest) -> Thresholds:
    """Accuracy limits: of `--thresholds`, else of thresholds.toml beside the suite, else none."""
    from pruning_core.thresholds import Thresholds, read_thresholds

    named = request.config.getoption("--thresholds")
    beside = request.path.parent / "thresholds.toml"
    with _exit_on_user_error():
        if named:
            return read_thresholds(Path(named))
        return read_thresholds(beside) if beside.exists() else Thresholds(())


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Skip what is not there, end the session on what the user must mend first."""
    if "harness" not in pyfuncitem.fixturenames:
        return (yield)
    try:
        return (yield)
    except UnavailableError as error:
        if _named_backends(pyfuncitem):
            pytest.exit(f"error: {error}", returncode=2)
        pytest.skip(str(error))
    except BackendError as error:
        pytest.fail(f"error: {error}", pytrace=False)  # this cell's, not the run's
    except PruningBenchError as error:
        pytest.exit(f"error: {error}", returncode=error.exit_code)


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


def record_samples(benchmark: Any, samples_s: Sequence[float], record: Record) -> None:
    """Hand samples that we took ourselves to pytest-benchmark, and the record with them.

    Args:
        benchmark: pytest-benchmark's fixture, not used before.
        samples_s: Seconds per call, one for each sample.
        record: Becomes the entry's `extra_info`.
    """
    # The fixture has no public way to take samples; its own pedantic mode does just this (5.1 to 5.3).
    benchmark._mode = "pruning-bench"
    benchmark.extra_info.update(record)
    if benchmark.disabled:
        return
    stats = benchmark._make_stats(1)
    for sample_s in samples_s:
        stats.update(sample_s)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Describe the machine, with one fingerprint, when a suite has run."""
    harness = config.stash.get(_HARNESS, None)
    if harness is not None:
        from pruning_core.measure.machine import describe_machine

        machine_info["pruning_bench"] = describe_machine(harness.models.threads)


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Mark every latency record of a run whose A/A control left the tolerance; leave names, no paths."""
    harness = config.stash.get(_HARNESS, None)
    if harness is None:
        return
    from pruning_core.benchmark_json import keep_names_only

    keep_names_only(output_json)
    if harness.contamination():
        for entry in output_json["benchmarks"]:
            if "contaminated" in entry["extra_info"]:
                entry["extra_info"]["contaminated"] = True


def skip_unless_timing(benchmark: Any) -> None:
    """Skip a timed test where pytest-benchmark is switched off: by --benchmark-disable, or under xdist."""
    if benchmark.disabled:
        pytest.skip(f"benchmarks are switched off (--benchmark-disable, or xdist): {_NOT_MEASURED}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so when times were not measured, or when no verdict can be given on them."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if _NOT_MEASURED in str(r.longrepr)]
    if skipped:
        terminalreporter.section("pruning-bench")
        terminalreporter.line(
            f"{len(skipped)} cells were not timed: pytest-benchmark is switched off by "
            "--benchmark-disable, or because xdist would run cells side by side. Run without both."
        )
    harness = config.stash.get(_HARNESS, None)
    if harness is None:
        return
    took_s = time.perf_counter() - config.stash[_STARTED]
    models = harness.models
    terminalreporter.section("pruning-bench")
    terminalreporter.line(
        f"{took_s:.0f} s: {models.measured_s:.0f} s ({models.measured_s / took_s:.0%}) inside what is "
        f"measured, {models.waited_s:.0f} s waiting for threads to rest, {models.made_s:.0f} s to make "
        f"or load checkpoints, {models.prepared_s:.0f} s to make them ready for backends."
    )
    for reason in dict.fromkeys(record["disturbance"] for record in harness.disturbed):
        cells = sum(record["disturbance"] == reason for record in harness.disturbed)
        terminalreporter.line(f"{cells} timed cells are contaminated: {reason} meanwhile.")
    problem = harness.contamination()
    if problem:
        terminalreporter.line(
            f"This run's times are contaminated, no verdict will be given on them: {problem}."
        )
        terminalreporter.line(
            "Close what else runs on this machine, or raise [latency] rounds, and measure again."
        )


def _grid_of(config: pytest.Config) -> Grid:
    if _GRID not in config.stash:
        from pruning_core.grid import find_grid, make_grid, read_grid

        options = {name: config.getoption(f"pruning_{name}") for name in _AXES}
        options["scope"] = config.getoption("--scope")
        options["latency.precision"] = config.getoption("--precision")
        options["train.seed"] = options["fine_tune.seed"] = config.getoption("--seed")
        path = find_grid(config.getoption("--grid"), config.rootpath)
        if path is None:
            grid = make_grid({name: value for name, value in options.items() if value is not None})
        else:
            grid = read_grid(path, options)
        _check_names(grid, config)
        config.stash[_GRID] = grid
    return config.stash[_GRID]


def _check_names(grid: Grid, config: pytest.Config) -> None:
    """Refuse what no table holds, before anything is trained."""
    from pruning_core.checks import check_devices, check_names

    check_names(grid)
    if config.getoption("pruning_devices"):
        check_devices(grid.devices)


def _harness_of(config: pytest.Config) -> Harness:
    if _HARNESS not in config.stash:
        from pruning_core.attempts import keep_traces_on
        from pruning_core.cells import explain_labels
        from pruning_core.forecast import announce
        from pruning_core.grid import explain_other_chain, find_grid
        from pruning_core.harness import Harness
        from pruning_core.pipeline import Workplace
        from pruning_core.progress import ProgressDisplay
        from pruning_core.store import Store, default_root

        with _uncaptured(config)(), suppress(OSError):
            keep_traces_on(os.dup(2))
        with _exit_on_user_error():
            display = ProgressDisplay(uncaptured=_uncaptured(config))
            root = Path(config.getoption("--store") or default_root())
            data_root = config.getoption("--data-root")
            grid = _grid_of(config)
            if renamed := explain_labels(grid.dataset):
                display.say(renamed)
            place = Workplace(
                store=Store(root, say=display.say),
                display=display,
                data_root=Path(data_root) if data_root else None,
                download=config.getoption("--download"),
                pixels=grid.pixels,
            )
            path = find_grid(config.getoption("--grid"), config.rootpath)
            if path is not None and config.getoption("pruning_ratios"):
                note = explain_other_chain(path, grid)
                if note:
                    display.say(note)
            wanted = config.stash.get(_VARIANTS, ())
            place.before_first_training = lambda: announce(wanted, grid, place)
            config.stash[_HARNESS] = Harness(grid, place, config.stash.get(_PLANNED, ()))
    return config.stash[_HARNESS]


def _uncaptured(config: pytest.Config) -> Any:
    capture = config.pluginmanager.getplugin("capturemanager")
    from contextlib import nullcontext

    return capture.global_and_fixture_disabled if capture is not None else nullcontext


def _named_backends(item: pytest.Item) -> bool:
    """Tell whether the command line named backends for one device, so that skipping one would mislead."""
    return bool(item.config.getoption("pruning_backends")) and len(_grid_of(item.config).devices) == 1


class _exit_on_user_error(AbstractContextManager[None]):  # noqa: N801  # reads as a verb in `with`
    """End the session with one line and exit code 2 when the user must mend something."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PruningBenchError):
            pytest.exit(f"error: {error}", returncode=error.exit_code)

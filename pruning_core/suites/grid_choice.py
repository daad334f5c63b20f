"""Which grid a run of pytest measures: its options over a grid file, the project's own or a shipped one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pruning_core.errors import OptionError
from pruning_core.files.home import expand_home
from pruning_core.suites.options import AXES, SINGLE_OPTIONS

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid
    from pruning_core.workspace import Workspace

_GRID = pytest.StashKey["Grid"]()
_SEARCHED_IN = pytest.StashKey["Workspace"]()

NOTHING_NAMED = (
    "nothing is measured: no grid and no model is named. Name one (--grid quick, --model my_nets:build), or "
    "write bench/grids/quick.toml into this project (`pruning-bench init` does)"
)


def is_named(config: pytest.Config) -> bool:
    """Return whether what to measure is named: by an option, or in the project's own grid."""
    from pruning_core.config.grid_files import own_grid

    named = (config.getoption("--grid"), config.getoption("--model"))
    return any(name is not None for name in named) or own_grid(*_projects(config)) is not None


def _projects(config: pytest.Config) -> list[Path]:
    """Return the folders whose `bench/grids` count: those above what pytest was given, the nearest first.

    pytest's root folder alone does not do: without a configuration file it lies above `--store DIR` too.
    """
    folders: list[Path] = []
    for argument in config.args:
        path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        above = [path, *path.parents]
        inside = config.rootpath in above
        folders += above[: above.index(config.rootpath) + 1] if inside else above[:2]
    return [*dict.fromkeys([*folders, config.rootpath, config.invocation_params.dir])]


def asks_for_a_grid(config: pytest.Config) -> bool:
    """Return whether any option replaces part of the grid, valid or not."""
    named = any(config.getoption(f"pruning_{name}") is not None for name in ("grid", *AXES, *SINGLE_OPTIONS))
    return named or bool(config.getoption("--search-again"))


def grid_path(config: pytest.Config) -> Path:
    """Return the grid file of this run.

    Raises:
        UnknownNameError: If no grid has the name in `--grid`.
    """
    from pruning_core.config.grid_files import find_grid

    return find_grid(config.getoption("--grid"), *_projects(config))


def grid_of(config: pytest.Config) -> Grid:
    """Return the grid of this run; read once, every name looked up, ratios found where it has targets.

    Raises:
        OptionError: If an option or the file has an invalid value, or no target can be met.
    """
    if _GRID not in config.stash:
        from pruning_core.suites.opening import load_grid
        from pruning_core.suites.validate import check_devices

        options = {name: config.getoption(f"pruning_{name}") for name in (*AXES, *SINGLE_OPTIONS)}
        _note_project_folders(config)
        grid = load_grid(grid_path(config), options)
        if options["devices"]:
            check_devices(grid.devices)
        sought = grid.targets or config.getoption("--search-again")
        config.stash[_GRID] = _search(grid, config) if sought else grid
    return config.stash[_GRID]


def _search(grid: Grid, config: pytest.Config) -> Grid:
    """Return a grid with the ratios that meet its targets: tests are named by them."""
    from pruning_core.progress import ProgressDisplay
    from pruning_core.suites.opening import new_workspace
    from pruning_core.suites.target_search import Search, search_grid

    display = ProgressDisplay(uncaptured=uncaptured(config))
    folders = (folder_option(config, "--store"), folder_option(config, "--data-root"))
    workspace = new_workspace(grid, *folders, config.getoption("--download"), display)
    config.stash[_SEARCHED_IN] = workspace
    # A worker of xdist takes what the first of them found: else each might find another ratio.
    again = config.getoption("--search-again") and not hasattr(config, "workerinput")
    return search_grid(grid, workspace, Search(workspace.store.root, display, again))


def searched_workspace(config: pytest.Config) -> Workspace | None:
    """Return the workspace in which ratios were found; None where none were looked for."""
    return config.stash.get(_SEARCHED_IN, None)


def folder_option(config: pytest.Config, option: str) -> Path | None:
    """Return the folder that an option names; None where it is not given.

    Raises:
        OptionError: If it lies in the home of nobody, or is an empty text.
    """
    value = config.getoption(option)
    return None if value is None else expand_home(Path(not_empty(value, option)), option)


def not_empty(path: str, option: str) -> str:
    """Return a path that an option names.

    Raises:
        OptionError: If it is an empty text, which Python takes for the current folder.
    """
    if not path:
        raise OptionError(f"{option} needs a path; got an empty text")
    return path


def uncaptured(config: pytest.Config) -> Callable[[], AbstractContextManager[None]]:
    """Return what lets output through while pytest captures it."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return nullcontext
    return cast("Callable[[], AbstractContextManager[None]]", capture.global_and_fixture_disabled)


def _note_project_folders(config: pytest.Config) -> None:
    """Let `module:function` be looked for where pytest looks, and beside the suites."""
    from pruning_core.user_code.project import set_project

    pythonpath: Sequence[Path] = ()
    with suppress(ValueError, KeyError):  # pytest's plugin that knows this setting can be switched off
        pythonpath = config.getini("pythonpath")
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    set_project(config.rootpath, pythonpath, named)

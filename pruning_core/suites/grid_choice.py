"""Which grid a run of pytest measures: what its options say, over a file of the project's own or of ours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pruning_core.errors import PruningBenchError
from pruning_core.suites.options import AXES

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid

_GRID = pytest.StashKey["Grid"]()

NOTHING_NAMED = (
    "nothing is measured: no grid and no model is named. Name one (--grid quick, --model my_nets:build), or "
    "write bench/grids/quick.toml into this project (`pruning-bench init` does)"
)


def is_named(config: pytest.Config) -> bool:
    """Tell whether somebody said what to measure: by an option, or in a grid of the project's own."""
    from pruning_core.config.grid_files import own_grid

    named = config.getoption("--grid") or config.getoption("--model")
    return bool(named) or own_grid(*_projects(config)) is not None


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


def grid_path(config: pytest.Config) -> Path:
    """Return the grid file of this run.

    Raises:
        UnknownNameError: If there is none of the name that `--grid` says.
    """
    from pruning_core.config.grid_files import find_grid

    return find_grid(config.getoption("--grid"), *_projects(config))


def grid_of(config: pytest.Config) -> Grid:
    """Return the grid of this run; read once, its names looked up.

    Raises:
        OptionError: If an option or the file has an invalid value.
    """
    if _GRID not in config.stash:
        from pruning_core.config.grid import read_grid

        options = {name: config.getoption(f"pruning_{name}") for name in AXES}
        options["scope"] = config.getoption("--scope")
        options["latency.target_error"] = config.getoption("--target-error")
        options["train.seed"] = options["fine_tune.seed"] = config.getoption("--seed")
        grid = read_grid(grid_path(config), options)
        _say_where_the_project_lies(config)
        _check_names(grid, config)
        config.stash[_GRID] = grid
    return config.stash[_GRID]


def _say_where_the_project_lies(config: pytest.Config) -> None:
    """Let `module:function` be looked for where pytest looks, and beside the suites."""
    from pruning_core.user_code.project import set_project

    pythonpath: Sequence[Path] = ()
    with suppress(ValueError, KeyError):  # pytest's plugin that knows this setting can be switched off
        pythonpath = config.getini("pythonpath")
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    set_project(config.rootpath, pythonpath, named)


def _check_names(grid: Grid, config: pytest.Config) -> None:
    """Refuse what no table holds, before anything is trained."""
    from pruning_core.suites.validate import check_devices, validate_grid

    validate_grid(grid)
    if config.getoption("pruning_devices"):
        check_devices(grid.devices)


class exit_on_user_error(AbstractContextManager[None]):  # noqa: N801  # reads as a verb in `with`
    """End the session with one line and exit code 2 when the user must mend something."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PruningBenchError):
            pytest.exit(f"error: {error}", returncode=error.exit_code)

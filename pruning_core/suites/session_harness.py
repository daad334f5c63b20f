"""The harness of a run of pytest: made once, when the first suite asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pruning_core.suites.cell_tests import planned_cells, planned_variants
from pruning_core.suites.grid_choice import grid_of, grid_path
from pruning_core.suites.steps import not_timed_reason
from pruning_core.suites.user_errors import exit_on_user_error
from pruning_core.suites.wrapped_calls import WRAP_CALL

if TYPE_CHECKING:
    from pruning_core.suites.harness import Harness

_HARNESS = pytest.StashKey["Harness"]()


def harness_if_any(config: pytest.Config) -> Harness | None:
    """Return the harness of this run; None where no suite has asked for it."""
    return config.stash.get(_HARNESS, None)


def harness_of(config: pytest.Config) -> Harness:
    """Return the harness of this run, made when it is first asked for; a user's mistake ends the session."""
    if _HARNESS not in config.stash:
        from pruning_core.progress import ProgressDisplay
        from pruning_core.store.attempts import keep_traces_on
        from pruning_core.suites.harness import Harness
        from pruning_core.suites.opening import open_workspace

        uncaptured = _uncaptured(config)
        with uncaptured(), suppress(OSError):
            keep_traces_on(os.dup(2))
        with exit_on_user_error():
            workspace = open_workspace(
                grid_of(config),
                grid_path(config),
                variants=planned_variants(config),
                own_ratios=bool(config.getoption("pruning_ratios")),
                root=_folder(config, "--store"),
                data_root=_folder(config, "--data-root"),
                download=config.getoption("--download"),
                display=ProgressDisplay(uncaptured=uncaptured),
            )
            config.stash[_HARNESS] = Harness(
                grid_of(config),
                workspace,
                planned_cells(config),
                not_timed_reason(config),
                config.stash.get(WRAP_CALL, None),
            )
    return config.stash[_HARNESS]


def _folder(config: pytest.Config, option: str) -> Path | None:
    value = config.getoption(option)
    return Path(value) if value else None


def _uncaptured(config: pytest.Config) -> Callable[[], AbstractContextManager[None]]:
    """Return what lets output through while pytest captures it."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return nullcontext
    return cast("Callable[[], AbstractContextManager[None]]", capture.global_and_fixture_disabled)

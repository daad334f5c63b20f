"""The harness of a run of pytest: made once, when the first suite asks for it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pruning_core.suites.cell_tests import planned_cells, planned_variants
from pruning_core.suites.grid_choice import folder_option, grid_of, grid_path, searched_workspace, uncaptured
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

        shown = uncaptured(config)
        with shown(), suppress(OSError):
            keep_traces_on(os.dup(2))
        with exit_on_user_error():
            workspace = open_workspace(
                grid_of(config),
                grid_path(config),
                variants=planned_variants(config),
                own_ratios=bool(config.getoption("pruning_ratios")),
                root=folder_option(config, "--store"),
                data_root=folder_option(config, "--data-root"),
                download=config.getoption("--download"),
                display=ProgressDisplay(uncaptured=shown),
                opened=searched_workspace(config),
            )
            config.stash[_HARNESS] = Harness(
                grid_of(config),
                workspace,
                planned_cells(config),
                not_timed_reason(config),
                config.stash.get(WRAP_CALL, None),
            )
    return config.stash[_HARNESS]

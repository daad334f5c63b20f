"""What becomes of an error in a run of pytest: a cell is skipped or fails, or the session ends."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NoReturn

import pytest

from pruning_core.errors import BackendError, NotTimedError, PruningBenchError, UnavailableError
from pruning_core.suites.grid_choice import grid_of


class exit_on_user_error(AbstractContextManager[None]):  # noqa: N801  # reads as a verb in `with`
    """End the session with one line and exit code 2 when the user must mend something."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PruningBenchError):
            pytest.exit(f"error: {error}", returncode=error.exit_code)


def report_error(error: PruningBenchError, item: pytest.Item) -> NoReturn:
    """Skip a cell that is unavailable, fail one that is broken, else end the session: the user must act."""
    if isinstance(error, NotTimedError):
        pytest.skip(str(error))
    if isinstance(error, UnavailableError):
        if _named_backends(item):
            pytest.exit(f"error: {error}", returncode=2)
        pytest.skip(str(error))
    if isinstance(error, BackendError):
        pytest.fail(f"error: {error}", pytrace=False)  # this cell's, not the run's
    pytest.exit(f"error: {error}", returncode=error.exit_code)


def exit_without_benchmark(item: pytest.Item, error: pytest.FixtureLookupError) -> None:
    """End the session with one line where one of our suites lacks pytest-benchmark."""
    if error.argname == "benchmark" and "harness" in getattr(item, "fixturenames", ()):
        pytest.exit(
            "error: the suites of pruning-bench need pytest-benchmark; it is switched off "
            "(-p no:benchmark), or not installed. Run pytest without that option",
            returncode=2,
        )


def _named_backends(item: pytest.Item) -> bool:
    """Return whether the command line named backends for one device, so that skipping one would mislead."""
    return bool(item.config.getoption("pruning_backends")) and len(grid_of(item.config).devices) == 1

"""SIGTERM and SIGHUP in a session of pytest: it ends in one line, with exit code 128 + signal.

What has been measured is saved, as after Ctrl-C, which is pytest's own.
"""

import sys
from collections.abc import Generator

import pytest

from pruning_core.process.interrupts import (
    Interrupted,
    forget_session,
    interruption_line,
    let_session_finish,
    received_signal,
)


class SessionSignals:
    """Hooks for a session in which `handle_session_signals` may be called."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """End the session on a signal while its tests are collected."""
        return (yield from _end_in_one_line())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """End the session on a signal while its tests run."""
        return (yield from _end_in_one_line())

    def pytest_runtest_logstart(self) -> None:
        """Begin no further test where a library has swallowed a signal's exception."""
        if received_signal() is not None:
            raise Interrupted

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Save what was measured, then end as a signal asks."""
        before = received_signal()
        let_session_finish()
        result = yield
        number = received_signal()
        if number is not None and before is None:
            session.exitstatus = 128 + number
            print(interruption_line(number), file=sys.stderr)
        return result

    def pytest_unconfigure(self) -> None:
        """Leave signals as they were."""
        forget_session()


def _end_in_one_line() -> Generator[None, object, object]:
    try:
        result = yield
    except BaseException:
        if received_signal() is None:
            raise
        result = None
    number = received_signal()
    if number is not None:
        pytest.exit(interruption_line(number), returncode=128 + number)
    return result

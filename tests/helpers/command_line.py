"""The command line, run in the process of the test."""

import os
import sys
from collections.abc import Callable

import pytest

from pruning_core import cli

Ended = tuple[object, str, str]
"""Exit code, output and errors."""


def command_line(
    monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Return a function that runs `pruning-bench` with some arguments, for a fixture `run`."""

    def run(*arguments: str | os.PathLike[str]) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pruning-bench", *map(os.fspath, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capture.readouterr()
        return ended.value.code, shown.out, shown.err

    return run

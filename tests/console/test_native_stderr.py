"""Standard error of native code, silenced for a moment."""

import os

import pytest

from pruning_core.console.native_stderr import without_native_stderr


def write_within() -> None:
    """Write a line that is to be lost, then fail."""
    with without_native_stderr():
        os.write(2, b"profiler_start\n")
        raise ValueError("within")


def test_what_is_written_meanwhile_is_gone_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines before and after it are there, also where the block raises."""
    os.write(2, b"before\n")
    with pytest.raises(ValueError, match="within"):
        write_within()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"

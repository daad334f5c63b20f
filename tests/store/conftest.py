"""An empty store, what it says, and the command line in an empty folder."""

import pytest

from pruning_core.store import Store
from tests.helpers.command_line import command_line


@pytest.fixture
def said():
    """Collect what the store says."""
    return []


@pytest.fixture
def store(tmp_path, said):
    """Open an empty store."""
    return Store(tmp_path / "store", notify=said.append)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)

"""A folder of a user's modules, forgotten afterwards."""

import sys

import pytest

from pruning_core.user_code import project
from tests.helpers.user_modules import forget


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder, with Python's path as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(project, "_project", [])
    yield tmp_path
    forget(tmp_path)

"""Shared by the tests of tasks."""

import sys

import pytest

from tests.helpers.own_task import write_task


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a task in the current folder and returns its module's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda kind="tuple", **parts: write_task(tmp_path, kind, **parts)

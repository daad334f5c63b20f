"""A project that asks for the plugin, for tests of what a run of it says and writes."""

import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401

from tests.helpers.asking_project import AS_ASKED_FOR, ASKED_FOR, FORGETFUL


@pytest.fixture
def project(pytester, monkeypatch):
    """Make a project that asks for the plugin and has a suite that forgets every check; return a runner."""
    pytester.makeconftest(ASKED_FOR)
    folder = pytester.mkdir("bench")
    (folder / "test_forgetful.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(str(pytester.path))
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(pytester.path / "cache" / "store"))

    def run(*arguments):
        return pytester.runpytest_inprocess(*AS_ASKED_FOR, *arguments)

    return run

"""The suites beside a small network of a user's own, as a function that runs them."""

import shutil

import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401

import pruning_core.backends.eager
import pruning_core.shapes.targets
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline
from tests.helpers.factories import write_user_model
from tests.helpers.plugin_run import GRID, LENIENT, ROOT


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """One store for all tests here, so that each need not train again."""
    return tmp_path_factory.mktemp("plugin") / "store"


@pytest.fixture
def suites(pytester, store, monkeypatch):
    """Lay the suites and a user's model into an empty project; return a function that runs them."""
    shutil.copytree(ROOT / "bench", pytester.path / "bench")
    pytester.makeconftest('pytest_plugins = ["pruning_core.pytest_plugin"]')
    (pytester.path / "bench" / "thresholds.toml").write_text(LENIENT)
    (pytester.path / "bench" / "grids" / "quick.toml").write_text(GRID)
    monkeypatch.syspath_prepend(str(pytester.path))
    monkeypatch.setattr(pruning_core.system.roofline, "REPEAT_S", 1e-3)
    model = write_user_model(pytester.path, "plugin_nets")

    def run(*arguments, model=model, folder="bench", start=pytester.runpytest_inprocess):
        return start(
            folder,
            f"--store={store}",
            f"--model={model}",
            "--benchmark-json=out.json",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            *arguments,
        )

    return run

"""A user's module, from the command line and from pytest: found from anywhere, one key, one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pruning_core.store import Store
from tests.helpers.factories import write_user_model

ROOT = Path(__file__).parents[2]
GRID = """
ratios = [0.5]
backends = ["eager"]
threads = 1
[train]
epochs = 0
[fine_tune]
epochs = 0
"""


@pytest.fixture
def project(tmp_path):
    """Lay out a project with its suites, and a network of the user's in `src/` that imports a neighbour."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "bench", folder / "bench")
    (folder / "src").mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    (folder / "g.toml").write_text(GRID)
    write_user_model(folder / "src", "project_blocks")
    (folder / "src" / "project_nets.py").write_text("from project_blocks import tiny_model as build\n")
    for name in ("sklearn", "tabulate"):
        (folder / f"{name}.py").write_text("raise SystemExit(7)\n")
        (folder / "src" / f"{name}.py").write_text("raise SystemExit(7)\n")
    return folder


def run(folder, *arguments):
    """Run a module of Python's in a folder, and return what it ended with."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_one_key_from_anywhere(project, tmp_path):
    """pytest in another folder uses what `prepare` made; a changed neighbour is another key."""
    store = Store(tmp_path / "store")
    names = ("--grid", str(project / "g.toml"), "--model", "project_nets:build", "--store", str(store.root))
    made = run(project, "pruning_core", "prepare", *names)
    assert made.returncode == 0, made.stderr
    keys = list(store.stored_keys())
    assert len(keys) == 2
    suite = run(tmp_path, "pytest", "project/bench/test_cost.py", "-p", "no:cacheprovider", *names)
    assert suite.returncode == 0, suite.stdout
    assert list(store.stored_keys()) == keys
    blocks = project / "src" / "project_blocks.py"
    blocks.write_text(blocks.read_text().replace("torch.relu", "torch.sigmoid"))
    again = run(project / "bench", "pruning_core", "prepare", *names)
    assert again.returncode == 0, again.stderr
    assert len(list(store.stored_keys())) == 4


@pytest.mark.parametrize("start", ["pruning_core", "pytest"])
def test_a_module_that_ends_the_program_is_an_error(project, start):
    """`sys.exit(0)` in a user's module is one line and exit code 2."""
    (project / "ends.py").write_text("import sys\nsys.exit(0)\n")
    arguments = ["plan"] if start == "pruning_core" else ["bench", "--collect-only"]
    done = run(project, start, *arguments, "--model", "ends:build")
    assert done.returncode == 2
    shown = done.stderr if start == "pruning_core" else done.stdout
    lines = [line for line in shown.splitlines() if "error: " in line]
    assert len(lines) == 1
    assert "it ends the program, by sys.exit(0)" in lines[0]
    assert "Traceback" not in done.stdout + done.stderr

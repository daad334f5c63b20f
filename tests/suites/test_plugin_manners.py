"""The plugin is asked for, keeps out of the way, and times nothing where it cannot."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pruning_core.suites.options import OPTIONS
from tests.helpers.asking_project import AS_ASKED_FOR, ASKED_FOR
from tests.helpers.factories import write_user_model

ROOT = Path(__file__).parents[2]
GRID = 'model = "{model}"\nratios = [0.5]\nbatch_sizes = [1]\nthreads = 1\n[train]\nepochs = 1\n'


@pytest.fixture
def model(pytester):
    """Write a user's network into the project."""
    return write_user_model(pytester.path, "manners_nets")


def write_own_grid(folder, model):
    """Write `quick` into a project."""
    grids = folder / "bench" / "grids"
    grids.mkdir(parents=True)
    (grids / "quick.toml").write_text(GRID.format(model=model))


def test_installing_registers_nothing():
    """There is no entry point: what is merely installed adds no option to anybody's pytest."""
    assert "entry-points" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_our_options_share_no_value_with_others(pytester, project):
    """Another plugin's option that is stored as `seed` or `store` does not become ours."""
    pytester.makeconftest(
        ASKED_FOR + "def pytest_addoption(parser):\n"
        "    parser.addoption('--other', dest='seed', default=5)\n"
        "    parser.addoption('--another', dest='store', default='x')\n"
        "def pytest_configure(config):\n"
        "    assert config.getoption('--seed') is None\n"
        "    assert config.getoption('--store') is None\n"
    )
    assert project("--collect-only").ret == 0


CLASHES = {
    "its own conftest": {"conftest.py": ASKED_FOR, "adds": "conftest.py"},
    "a plugin before us": {"conftest.py": ASKED_FOR.replace("[", '["adding", '), "adds": "adding.py"},
    "a plugin after us": {"conftest.py": ASKED_FOR.replace("]", ', "adding"]'), "adds": "adding.py"},
    "a conftest below": {"conftest.py": ASKED_FOR, "adds": "bench/conftest.py"},
}


@pytest.mark.parametrize("option", ["--seed", "--model", "--store"])
@pytest.mark.parametrize("name", CLASHES)
def test_two_options_of_one_name_get_one_line(pytester, project, capfd, name, option):
    """A project with an option of ours of its own is told which and whose, without a traceback."""
    clash = CLASHES[name]
    (pytester.path / "conftest.py").write_text(clash["conftest.py"])
    with (pytester.path / clash["adds"]).open("a") as file:
        file.write(f'def pytest_addoption(parser):\n    parser.getgroup("mine").addoption("{option}")\n')
    result = project("bench")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    shown = capfd.readouterr()
    said = [line for line in (shown.out + shown.err).splitlines() if line]
    assert len(set(said)) == 1
    assert f"two options are called {option}" in said[0]
    assert Path(clash["adds"]).stem in said[0]


@pytest.mark.parametrize("first", ["the entry point", "-p"])
def test_an_older_installation_loads_it_too(pytester, project, first):
    """Loaded by the entry point of an older installation and by name, the plugin is there once."""
    old = pytester.mkdir("old_bench-0.1.dist-info")
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: old-bench\nVersion: 0.1\n")
    (old / "entry_points.txt").write_text("[pytest11]\npruning_bench = pruning_core.pytest_plugin\n")
    named = ["-p", "pruning_core.pytest_plugin"] if first == "-p" else []
    result = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:randomly", *named)
    assert result.ret == 0
    assert "nothing-named" in result.stdout.str()


def test_bare_pytest_measures_nothing(pytester, project):
    """Without a grid or model, by option or in the project's own grid, suites are skipped with a line."""
    (pytester.path / "bench" / "test_more.py").write_text(
        "def test_harness_alone(harness):\n    raise AssertionError('not reached')\n"
    )
    for arguments in ([], ["bench"], ["--ratios=0.5", "--dataset=digits"]):
        result = project(*arguments)
        result.assert_outcomes(skipped=5)
        result.stdout.fnmatch_lines(["nothing is measured: no grid and no model is named.*init*"])
    assert not (pytester.path / "cache").exists()


def cells(result):
    """Return the latency cells that a run collected."""
    return [line for line in result.outlines if "test_latency[" in line]


def test_what_names_something_is_measured(pytester, project, model):
    """An option or the project's own grid is enough; without --grid it is `quick`, else our own `quick`."""
    (only,) = cells(project("--collect-only", "-q"))
    assert "nothing-named" in only
    by_option = cells(project("--collect-only", "-q", f"--model={model}"))
    assert len(by_option) == 5 * 3 * 2  # our quick: dense and four ratios, three backends, two batch sizes
    assert len(cells(project("--collect-only", "-q", "--grid=quick"))) == len(by_option)
    write_own_grid(pytester.path, model)
    assert len(cells(project("--collect-only", "-q"))) == 2


@pytest.mark.parametrize("start", [".", "bench", "elsewhere"])
def test_a_projects_grid_and_options_are_found_from_every_folder(pytester, project, model, start):
    """Run from the project, from its bench/, or from another folder, with a store anywhere."""
    write_own_grid(pytester.path, model)
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    folder = pytester.path / start
    if start == "elsewhere":
        folder = pytester.path.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    target = os.path.relpath(pytester.path / "bench", folder)
    words = ["--collect-only", "-q", target, "--model", model, "--store", "/usr"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *AS_ASKED_FOR, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(pytester.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if "test_latency[" in line]
    assert len(found) == 2, done.stdout + done.stderr


@pytest.mark.parametrize("switch", ["--benchmark-disable", "-n1", "--benchmark-skip"])
def test_a_suite_that_forgets_to_ask_is_not_timed(pytester, project, model, switch):
    """Whatever a suite says, nothing is timed or trained where benchmarks are off; each test says why."""
    write_own_grid(pytester.path, model)
    result = project("-W", "default", "-rs", switch)
    result.assert_outcomes(skipped=2 + 1 + 2 + 2)
    result.stdout.fnmatch_lines(["*cells were not timed*"])
    result.stdout.fnmatch_lines(["SKIPPED*times are not measured"])
    assert not list((pytester.path / "cache").rglob("*.safetensors"))


def test_without_pytest_benchmark_other_tests_run(pytester, project):
    """`-p no:benchmark` breaks nothing; a suite of ours ends with one line."""
    pytester.makepyfile(test_mine="def test_mine():\n    pass\n")
    project("-p", "no:benchmark", "test_mine.py").assert_outcomes(passed=1)
    result = project("-p", "no:benchmark", "--model=resnet18", "bench/test_forgetful.py", "-k", "training")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*need pytest-benchmark*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_every_option_lies_under_a_name_of_ours(pytestconfig):
    """No value of ours is kept where another plugin would look for its own."""
    for option in OPTIONS:
        assert hasattr(pytestconfig.option, f"pruning_{option.removeprefix('--').replace('-', '_')}")

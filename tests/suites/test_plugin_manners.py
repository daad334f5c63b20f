"""The plugin is asked for, keeps out of the way, times nothing where it cannot, and loses no results."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401

from pruning_core import pytest_plugin
from pruning_core.errors import OptionError
from pruning_core.suites.options import OPTIONS
from pruning_core.suites.results import check_target
from tests.helpers.factories import write_user_model

ROOT = Path(__file__).parents[2]
ASKED_FOR = 'pytest_plugins = ["pruning_core.pytest_plugin"]\n'
# The entry point of an installation that is older than this checkout.
AS_ASKED_FOR = ("-p", "no:pruning_bench", "-p", "no:randomly", "-p", "no:cacheprovider")
GRID = 'model = "{model}"\nratios = [0.5]\nbatch_sizes = [1]\nthreads = 1\n[train]\nepochs = 1\n'
FORGETFUL = """
import pytest
from pruning_core.pytest_plugin import record_samples


def test_latency(latency_cell, harness, benchmark):
    record_samples(benchmark, *reversed(harness.latency_record(latency_cell)))


def test_training(dense_variant, harness, benchmark):
    record_samples(benchmark, *reversed(harness.training_record(dense_variant)))


def test_without_the_fixture(latency_cell, harness):
    harness.latency_record(latency_cell)


@pytest.fixture
def timed(latency_cell, harness):
    return harness.latency_record(latency_cell)


def test_in_a_fixture(timed):
    raise AssertionError("not reached")
"""


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


def speedup_record(low, value, high, **fields):
    """Return a record as `require_speedup` needs it."""
    return {
        "cell": "net-b1",
        "suite": "latency",
        "speedup": value,
        "speedup_low": low,
        "speedup_high": high,
        "contaminated": False,
        "contention": "",
        **fields,
    }


def test_a_required_speedup_is_known_or_fails_with_figures():
    """The lower bound must reach what is asked for; else the test fails, with the interval."""
    pytest_plugin.require_speedup(speedup_record(2.0, 2.2, 2.4), at_least=2.0)
    with pytest.raises(pytest.fail.Exception, match=r"net-b1: speed-up 1.20 \[1.10, 1.30\] is below 2"):
        pytest_plugin.require_speedup(speedup_record(1.1, 1.2, 1.3), at_least=2.0)
    with pytest.raises(pytest.fail.Exception, match=r"2.10 \[1.90, 2.30\] is not known to reach 2"):
        pytest_plugin.require_speedup(speedup_record(1.9, 2.1, 2.3), at_least=2.0)


@pytest.mark.parametrize("contention", ["other processes took 40 % of the CPU", ""])
def test_contaminated_times_prove_nothing(contention):
    """A contaminated record is skipped with what disturbed it, fast or slow."""
    record = speedup_record(0.3, 0.36, 0.4, contaminated=True, contention=contention)
    with pytest.raises(pytest.skip.Exception, match=contention or "an A/A control"):
        pytest_plugin.require_speedup(record, at_least=2.0)


@pytest.mark.parametrize("at_least", [0, -1.0, float("nan")])
def test_a_speedup_that_cannot_be_is_refused(at_least):
    """A ratio of 0 or less, or a record without a speed-up, is a mistake of the suite's."""
    with pytest.raises(OptionError, match="a ratio above 0"):
        pytest_plugin.require_speedup(speedup_record(1, 1, 1), at_least)
    with pytest.raises(OptionError, match="'cost'"):
        pytest_plugin.require_speedup({"suite": "cost"}, 2.0)


TARGETS = {
    "no folder": ("nowhere/out.json", "there is no folder nowhere"),
    "a folder": ("bench", "it is a folder"),
    "not writable": ("/proc/out.json", "cannot write --benchmark-json /proc/out.json"),
    "below a file": ("conftest.py/out.json", "there is no folder conftest.py"),
    "a name too long": ("x" * 300, "File name too long"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_where_results_cannot_go_is_said_before_the_run(pytester, project, capfd, name):
    """A --benchmark-json that cannot be written ends the session at its start: one line, exit code 2."""
    target, expected = TARGETS[name]
    pytester.makepyfile(test_mine="def test_mine(benchmark):\n    raise AssertionError('not reached')\n")
    result = project(f"--benchmark-json={target}", "test_mine.py")
    shown = capfd.readouterr()
    if "argument --benchmark-json" in shown.err:
        pytest.skip("this release of pytest-benchmark has argparse open the file, which says so itself")
    assert result.ret == 2
    assert expected in shown.out + shown.err
    assert "Traceback" not in shown.out + shown.err
    assert "not reached" not in shown.out


def test_trying_a_target_changes_nothing(tmp_path):
    """Results of an earlier run stay as they are, a new file is not left behind."""
    old = tmp_path / "old.json"
    old.write_text("kept")
    check_target(old)
    check_target(tmp_path / "new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "kept"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_results_that_cannot_be_written_at_the_end_are_rescued(pytester, project):
    """On a full disk the records go beside the store, named in one line; exit code 2, no traceback."""
    pytester.makepyfile(test_mine="def test_mine(benchmark):\n    benchmark(int)\n")
    result = project("--benchmark-json=/dev/full", "test_mine.py")
    assert result.ret == 2
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.fnmatch_lines(
        ["error: cannot write --benchmark-json /dev/full: No space left*results are in*"]
    )
    (rescued,) = (pytester.path / "cache").glob("*.json")
    assert str(rescued) in result.stdout.str()
    assert json.loads(rescued.read_text())["benchmarks"][0]["name"] == "test_mine"


def test_a_storage_that_cannot_be_written_loses_nothing(pytester, project):
    """--benchmark-save into a folder that cannot be made is rescued too."""
    pytester.makepyfile(test_mine="def test_mine(benchmark):\n    benchmark(int)\n")
    (pytester.path / "taken").write_text("")
    result = project("--benchmark-save=x", "--benchmark-storage=file://taken", "test_mine.py")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["error: cannot write into the storage*results are in*"])


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


RECORDS = """
import pytest

CELL = {
    "schema_version": 3, "status": "ok", "failure": "", "model": "net", "dataset": "digits",
    "method": "dense", "ratio": 0.0, "backend": "eager", "precision": "fp32", "device": "cpu", "threads": 1,
}


def test_cost(benchmark):
    benchmark.extra_info.update(
        {k: v for k, v in CELL.items() if k not in ("backend", "precision")}, suite="cost", macs=10**9
    )
    benchmark.pedantic(int, rounds=3)


def test_accuracy(benchmark):
    benchmark.pedantic(int, rounds=1)
    benchmark.extra_info.update(CELL, suite="accuracy", accuracy=0.98, accuracy_drop=0.0)


def test_latency(benchmark):
    benchmark.pedantic(int, rounds=3)
    speedup = {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1, "latency_ms": 4.4, "accuracy": 0.98}
    benchmark.extra_info.update(CELL, suite="latency", batch_size=8, contaminated=False, **speedup)
    assert benchmark.extra_info["speedup"] > 3
"""


@pytest.fixture
def summary(pytester, project):
    """Return a function that runs tests that hand over records, and gives what it printed last."""
    pytester.makepyfile(test_records=RECORDS)

    def run(*arguments):
        result = project("test_records.py", "-W", "default", *arguments)
        shown = result.stdout.str()
        return result, shown, shown[shown.index("= pruning-bench =") :]

    return run


def test_our_table_comes_last(summary):
    """One row a cell under pytest-benchmark's tables: what was found, and the failed cell marked."""
    result, shown, last = summary("--benchmark-json=out.json")
    result.assert_outcomes(passed=2, failed=1)
    row = next(line for line in last.splitlines() if line.startswith("dense"))
    assert row.split() == ["dense", "2.00", "[1.90–2.10]", "4.40", "98.00", "0.00", "F"]
    assert "All cells and figures: pruning-bench report out.json" in last
    assert shown.index("Legend:") < shown.index("= pruning-bench =")


def test_what_is_no_time_is_not_shown_as_one(summary):
    """pytest-benchmark's own tables hold no entry of the suites cost and accuracy, and few columns."""
    _, shown, last = summary()
    theirs = shown[: shown.index("= pruning-bench =")]
    assert "benchmark 'latency': 1 tests" in theirs
    assert "'cost'" not in theirs
    assert "'accuracy'" not in theirs
    assert "inf" not in theirs.split("Name (time")[1].split("Legend")[0]
    assert "StdDev" not in theirs
    assert "Give --benchmark-json FILE" in last


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--benchmark-columns=min,max", ["Min", "Max"]),
        ("--benchmark-group-by=name", ["benchmark 'test_latency'"]),
        (
            "--benchmark-autosave --benchmark-compare-fail=min:500% --benchmark-compare",
            ["'cost'", "'accuracy'"],
        ),
    ],
)
def test_what_a_user_asks_of_pytest_benchmark_holds(summary, option, expected):
    """Columns and groups that a user named are kept, and a comparison is over all entries."""
    summary("--benchmark-autosave")
    _, shown, _ = summary(*option.split())
    assert all(text in shown for text in expected)


def test_the_table_comes_under_xdist_too(summary):
    """What workers of xdist found is in the table of the main process, and nothing is said of times."""
    result, _, last = summary("-n1", "-k", "not latency")
    result.assert_outcomes(passed=2)
    row = next(line for line in last.splitlines() if line.startswith("dense"))
    assert row.split() == ["dense", "98.00", "0.00"]
    assert "pruning-bench report" not in last


def test_other_tests_get_no_table(pytester, project):
    """A run without a suite of ours prints nothing of ours, and keeps pytest-benchmark's columns."""
    pytester.makepyfile(test_mine="def test_mine(benchmark):\n    benchmark(int)\n")
    result = project("test_mine.py")
    shown = result.stdout.str()
    assert "pruning-bench" not in shown
    assert "StdDev" in shown

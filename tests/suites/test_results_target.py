"""Where results go is tried before the run, and no results are lost after it."""

import json
from pathlib import Path

import pytest

from pruning_core.suites.results import check_target

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

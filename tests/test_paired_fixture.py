"""The fixture `paired` in a suite of a user's own: it passes, fails, or says that it was inconclusive."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
    from conftest import takes

    def test_faster(paired):
        paired(takes(0.004), takes(0.001), time_limit_s=0.1).assert_faster(at_least=1.2)

    def test_slower(paired):
        paired(takes(0.001), takes(0.004), time_limit_s=0.1).assert_faster(at_least=1.2)

    def test_neither(paired):
        paired(takes(0.002), takes(0.002), time_limit_s=0.1).assert_faster()
"""

ON_A_CLOCK_OF_ITS_OWN = """
import os

os.environ["OMP_NUM_THREADS"] = "1"  # no round is rejected for the state of this machine

from pruning_core.api import comparing
from pruning_core.system.contention import ContentionMonitor, CpuTimes
from tests.helpers.timed_machine import IDLE, Machine

machine, measure = Machine(noise=0.05), comparing.measure

def takes(seconds):
    return machine.model("call", seconds)

def undisturbed(*arguments, **options):
    monitor = ContentionMonitor("cpu", read_cpu=lambda: CpuTimes(0.0, 0.0, None, 0.0))
    return measure(*arguments, **options, clock=machine.clock, monitor=monitor, **IDLE)

comparing.measure = undisturbed
"""
"""What calls take, and what else runs, is made up: a verdict is not this machine's."""

FIXTURE = 'pytest_plugins = ["pruning_core.paired_fixture"]'
PLUGIN = 'pytest_plugins = ["pruning_core.pytest_plugin"]'
BOTH = 'pytest_plugins = ["pruning_core.paired_fixture", "pruning_core.pytest_plugin"]'


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a suite of a user's own in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))

    def run_suite(*options, suite=SUITE, conftest=FIXTURE):
        pytester.makeconftest(ON_A_CLOCK_OF_ITS_OWN + conftest)
        pytester.makepyfile(suite)
        return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *options)

    return run_suite


@pytest.mark.parametrize("conftest", [FIXTURE, PLUGIN, BOTH], ids=["fixture", "plugin", "both"])
def test_it_passes_fails_or_is_skipped(run, conftest):
    """What is decided passes or fails with the measured line; what is not is skipped, and named."""
    result = run(conftest=conftest)
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*Failed: not 1.2× as fast as the reference; slower: 0.*×*rounds, A/A*",
            "*= paired =*",
            "*::test_neither: inconclusive: 1× is neither reached nor missed; no difference shown: *",
        ]
    )


@pytest.mark.parametrize(
    ("chosen", "outcomes"),
    [("fail", {"passed": 1, "failed": 2}), ("xfail", {"passed": 1, "failed": 1, "xfailed": 1})],
)
def test_what_is_inconclusive_can_fail(run, chosen, outcomes):
    """The ini key says what becomes of an inconclusive comparison; it is named at the end in any case."""
    result = run("-o", f"paired_inconclusive={chosen}")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(["*::test_neither: inconclusive: *"])


def test_a_wrong_ini_key_is_one_line(run):
    """What is no choice is refused before any test."""
    result = run("-o", "paired_inconclusive=maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*paired_inconclusive = 'maybe': it must be one of skip, xfail, fail"])


def test_nothing_is_timed_beside_other_tests(run):
    """Under pytest-xdist nothing is measured, which is inconclusive, and named in the summary."""
    result = run("-n", "1")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["*::test_faster: inconclusive: nothing is timed while pytest-xdist*-n 0"])


def test_the_measured_line_is_in_the_junit_file(run, pytester):
    """CI can read each comparison as a property of its test."""
    run("--junitxml=junit.xml", "-k", "faster")
    text = (pytester.path / "junit.xml").read_text()
    assert '<property name="paired" value="faster: ' in text


def test_it_adds_no_option(run):
    """It adds one ini key and no option, so that none can clash."""
    help_text = run("--help").stdout.str()
    assert "paired_inconclusive" in help_text
    assert "--paired" not in help_text


def test_it_is_imported_lightly():
    """A suite that never asks for it does not import PyTorch for it."""
    code = "import sys, pruning_core.paired_fixture; assert not {'torch', 'pydantic'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

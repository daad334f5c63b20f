"""A child process: its answers come back, and whatever becomes of it is a line in words."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from pruning_core.process.child import run_child

NO_LIMIT = (120.0, 0)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Run the body of a `main(given, answers)` in a child, under limits on seconds and bytes."""

    def run(body, limits=NO_LIMIT, given="", meanwhile=lambda so_far: None):
        (tmp_path / "in_child.py").write_text(
            f"import os, signal, sys, time\ndef main(given, answers):\n{textwrap.indent(body, '    ')}\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return run_child("in_child", given, *limits, meanwhile)

    return run


def test_answers_come_back_and_prints_do_not(child):
    """Only what is written to the answers is an answer; what libraries print goes elsewhere."""
    ended = child(
        "print('noise', flush=True)\nos.system('echo noise')\nanswers.write(given[::-1])", given="äbc"
    )
    assert (ended.output, ended.problem) == ("cbä", "")


def test_answers_are_seen_while_it_works(child):
    """What it has answered so far is told before it ends."""
    seen = []
    body = "print('first ä', file=answers, flush=True)\ntime.sleep(1.5)\nanswers.write('last')"
    assert child(body, meanwhile=seen.append).output == "first ä\nlast"
    assert "first ä\n" in seen


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("sys.exit(3)", "its process ended with exit code 3: without a word"),
        ("raise RuntimeError('no\\nway')", "its process ended with exit code 1: way"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process was killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL; was there too little memory?"),
        ("os._exit(0)", ""),
    ],
)
def test_an_end_of_its_own_is_told(child, body, problem):
    """How a child died is said; what it had answered before is kept."""
    ended = child(f"print('first', file=answers, flush=True)\n{body}")
    assert ended.output == "first\n"
    assert ended.problem.endswith(problem)
    assert bool(ended.problem) == bool(problem)


def test_a_child_that_does_not_end_is_killed(child):
    """Time is limited, also where signals are ignored; what was answered before is kept."""
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('first', file=answers, flush=True)\n"
    ended = child(f"{body}time.sleep(600)", (15.0, 0))
    assert (ended.output, ended.problem) == ("first\n", "not done after 15 s")


def test_a_child_that_takes_much_memory_is_killed(child):
    """Memory is limited."""
    ended = child("kept = bytearray(b'x') * 800_000_000\ntime.sleep(600)", (120.0, 400_000_000))
    assert ended.problem == "needs more than 0.4 GB of memory"


PARENT = """
import sys
from pruning_core.process.child import run_child
run_child("in_child", "", 600.0, 0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_child_outlives_its_parent(tmp_path, number):
    """Whatever ends the parent ends the child."""
    (tmp_path / "in_child.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom pruning_core.process.child import end_with_parent\n"
        "def main(given, answers):\n    end_with_parent()\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}}\\n')\n    time.sleep(600)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment, stderr=subprocess.DEVNULL
    ) as parent:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
            assert parent.poll() is None
            time.sleep(0.05)
        pid = int((tmp_path / "pid").read_text())
        parent.send_signal(number)
    for _ in range(600):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child goes on")

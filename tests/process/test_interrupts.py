"""Signals: one line that says what is kept, exit code 128 + signal, no traceback, at any moment."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.factories import write_user_model

ROOT = Path(__file__).parents[2]
RESUMES = "the same command goes on where this one stopped"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

GRID = """
ratios = [0.25, 0.5, 0.75]
model = "{model}"
[train]
epochs = 600
batch_size = 64
[fine_tune]
epochs = 600
batch_size = 64
"""


def start(*arguments: str, folder: Path | None = None, program: str = "") -> subprocess.Popen[str]:
    """Start the command line, or a program that runs it, in a process of its own."""
    what = ["-c", program] if program else ["-m", *arguments]
    return subprocess.Popen(
        [sys.executable, *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder or ''}", "PYTHONUNBUFFERED": "1"},
    )


def wait_for(process: subprocess.Popen[str], text: str, stream: str = "stdout") -> None:
    """Read lines until one holds a text."""
    source = getattr(process, stream)
    while text not in (line := source.readline()):
        assert line, f"{text!r} never came"


# Says that its handlers are there, then imports and runs the command line.
EARLY = """
import sys
import pruning_core.console.streams as streams
from pruning_core import __main__
guard = streams.guard_streams
def guard_and_say():
    guard()
    print("guarded", flush=True)
streams.guard_streams = guard_and_say
sys.argv = ["pruning-bench", "plan", "--ratios", "0.1:0.9:0.1"]
__main__.run()
"""


EARLIEST = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == "pruning_core.process.interrupts":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from pruning_core.__main__ import run
run()
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_anything_is_imported_is_one_line(number: signal.Signals) -> None:
    """The first thing that the program does is to say in one line what a signal ends."""
    process = start(program=EARLIEST)
    wait_for(process, "importing")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, f"interrupted by {number.name}; nothing was begun\n")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_while_modules_are_imported_is_one_line(number: signal.Signals, times: int) -> None:
    """From the first own import on a signal is said in one line, also where it comes twice."""
    chance = random.Random(number * 10 + times)
    for _ in range(3):
        process = start(program=EARLY)
        wait_for(process, "guarded")
        time.sleep(chance.uniform(0, 0.5))
        for _ in range(times):
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, len(err.splitlines())) == (128 + number, 1), (out, err)
        assert err.startswith(f"interrupted by {number.name}; ")


# A second signal comes while the first one's line is about to be written, in a program or in an import.
WITHIN = """
import os, sys
from pruning_core.process import interrupts
class Signalled:
    def find_spec(self, *_):
        os.kill(os.getpid(), {number})
write = os.write
def write_late(*arguments):
    os.write = write
    os.kill(os.getpid(), {number})
    return write(*arguments)
os.write = write_late
interrupts.handle_signals()
try:
    {signalled}
except interrupts.Interrupted:
    interrupts.end_if_interrupted()
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "signalled", ["Signalled().find_spec()", "sys.meta_path.insert(0, Signalled()); import not_there"]
)
def test_a_second_signal_while_the_first_is_said_takes_no_word_from_it(
    number: signal.Signals, signalled: str
) -> None:
    """The line is written, once, whatever comes meanwhile."""
    process = start(program=WITHIN.format(number=int(number), signalled=signalled))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, f"interrupted by {number.name}; {RESUMES}\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_signal_at_a_random_moment_of_a_training_is_one_line(tmp_path: Path) -> None:
    """Whenever it comes, once or twice: one line that says that the command can be resumed, 128 + signal."""
    (tmp_path / "my.toml").write_text(GRID.format(model=write_user_model(tmp_path, "interrupted_nets")))
    chance = random.Random(1)
    for attempt in range(int(os.environ.get("PRUNING_BENCH_SIGNALS", "6"))):
        number = SIGNALS[attempt % 3]
        process = start(
            "pruning_core", "prepare", "--grid", "my.toml", "--store", f"store-{attempt}", folder=tmp_path
        )
        while not (tmp_path / f"store-{attempt}").exists():  # before us, the interpreter has its own signals
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, 6.0))
        for _ in range(chance.choice((1, 2))):
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
        lines = [line for line in err.splitlines() if not PROGRESS.search(line)]
        assert process.returncode == 128 + number, err
        assert lines == [f"interrupted by {number.name}; {RESUMES}"], out + err


PROGRESS = re.compile(r": done in |making \d+ checkpoints|: the process that made it ")

STUCK = """
import sys, time, ctypes
import pruning_core.report.command
from pruning_core import __main__
def stick(*_):
    print("stuck", flush=True)
    {how}
pruning_core.report.command.write_report = stick
sys.argv = ["pruning-bench", "report", "x.json"]
__main__.run()
"""


@pytest.mark.parametrize(
    ("how", "times"),
    [
        ("ctypes.CDLL(None).pause(); ctypes.CDLL(None).sleep(600); ctypes.CDLL(None).sleep(600)", 2),
        ("exec('while True:\\n try: time.sleep(600)\\n except BaseException: pass')", 1),
        ("exec('class A:\\n def __del__(self): time.sleep(600)\\nA()'); time.sleep(600)", 1),
        ("exec('try: time.sleep(600)\\nexcept BaseException: raise ImportError from None')", 1),
    ],
    ids=["native code", "swallowed", "in a destructor", "made into another error"],
)
def test_a_program_that_does_not_listen_ends_all_the_same(how: str, times: int) -> None:
    """Native code, a library that swallows exceptions, a destructor: the process ends, in one line."""
    process = start(program=STUCK.format(how=how))
    wait_for(process, "stuck")
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, len(err.splitlines())) == (143, 1), err
    assert "nothing is half-written" in err


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """Under nohup a closed terminal ends nothing."""
    program = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + STUCK.format(
        how="time.sleep(1)"
    )
    process = start(program=program)
    wait_for(process, "stuck")
    process.send_signal(signal.SIGHUP)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)


def test_what_was_begun_is_undone(tmp_path: Path) -> None:
    """A signal while a file is written leaves neither a half file nor its draft."""
    program = STUCK.format(
        how="from pruning_core.files.atomic import write_pieces; from pathlib import Path; "
        "write_pieces(Path('out.txt'), (time.sleep(60) or b'x' for _ in range(9)))"
    )
    process = start(program=program, folder=tmp_path)
    wait_for(process, "stuck")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (process.returncode, list(tmp_path.iterdir())) == (143, [])


SUITE = """
import time
def test_nothing(variant, harness):
    pass
def test_long(variant, harness):
    with open("begun", "w"):
        pass
    {how}
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "how",
    ["time.sleep(600)", "try:\n        time.sleep(600)\n    except BaseException:\n        pass"],
    ids=["plain", "swallowed"],
)
def test_a_signal_ends_a_session_of_pytest(tmp_path: Path, number: signal.Signals, how: str) -> None:
    """`pytest bench/` ends in pytest's own line, with exit code 128 + signal, and no traceback."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    (tmp_path / "test_suite.py").write_text(SUITE.format(how=how))
    (tmp_path / "my.toml").write_text(
        GRID.format(model=write_user_model(tmp_path, "session_nets")).replace("600", "1")
    )
    options = ["-p", "no:randomly", "-p", "no:cacheprovider", "--grid", "my.toml", "--store", "store"]
    process = start("pytest", "test_suite.py", *options, folder=tmp_path)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, out + err
    assert f"interrupted by {number.name}; {RESUMES}" in out
    assert "Traceback" not in out + err
    assert "KeyboardInterrupt" not in out + err

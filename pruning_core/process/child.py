"""A child process for work that may die in native code, take all memory or never end."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pruning_core.console.shown import shortened

_POLL_S = 0.2

_ROOT = str(Path(__file__).parent.parent.parent)
"""Where this package is imported from: the child must run the same."""

_PROGRAM = """
import importlib, os, sys
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what libraries and a user's network print is none of it
sys.path.insert(0, sys.argv[1])
import pruning_core
del sys.path[0]
importlib.import_module(sys.argv[2]).main(sys.stdin.read(), answers)
"""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    output: str  # all that it has answered
    problem: str  # why it did not end well, in words; empty where it did


def run_child(
    module: str,
    given: str,
    max_seconds: float,
    max_memory_bytes: int,
    meanwhile: Callable[[str], object] = lambda so_far: None,
) -> Ended:
    """Run `main` of a module of ours in a process of its own, and wait for its end.

    Args:
        module: Its dotted name. Its `main` takes a text, and a stream to write answers to; standard output is
            not among them.
        given: The text.
        max_seconds: It is killed after as long.
        max_memory_bytes: It is killed when it holds more; 0: no limit.
        meanwhile: Called now and then with all that it has answered so far; its last line may be half a line.
    """
    command = [sys.executable, "-P", "-c", _PROGRAM, _ROOT, module]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the parent, which kills the child
        ) as process,
    ):
        try:
            output, problem = _wait(process, given, max_seconds, max_memory_bytes, meanwhile)
        except BaseException:
            process.kill()
            raise
        if not problem and process.returncode:
            problem = _explain(process.returncode, _tail(errors.fileno()))
    return Ended(output, problem)


def prefer_to_be_killed() -> None:
    """Let a system that runs out of memory kill this process before others; where it has a say in it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def end_with_parent() -> None:
    """From now on this process ends when its parent has ended, however that did."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _wait(
    process: "subprocess.Popen[str]",
    given: str,
    max_seconds: float,
    max_memory_bytes: int,
    meanwhile: Callable[[str], object],
) -> tuple[str, str]:
    """Return what the child wrote, and the limit that it broke, in words."""
    started, text, problem = time.monotonic(), given, ""
    while not problem:
        try:
            return process.communicate(text or None, timeout=_POLL_S)[0], ""
        except subprocess.TimeoutExpired as waited:
            text = ""  # it is on its way
            meanwhile((waited.output or b"").decode("utf-8", "replace"))
        if time.monotonic() - started > max_seconds:
            problem = f"not done after {max_seconds:g} s"
        elif 0 < max_memory_bytes < _memory_bytes(process.pid):
            problem = f"needs more than {max_memory_bytes / 1e9:.1f} GB of memory"
    process.kill()
    return process.communicate()[0], problem


def _memory_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, psutil.Error):  # it has ended, or nothing says it
        return 0


def _explain(code: int, last_words: str) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}: {last_words or 'without a word'}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = "; was there too little memory?" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{memory}"


def _tail(descriptor: int) -> str:
    """Return the last line that the child wrote to standard error."""
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, max(0, size - 4000), os.SEEK_SET)
    lines = os.read(descriptor, 4000).decode("utf-8", "replace").strip().splitlines()
    return shortened(lines[-1], 300) if lines else ""

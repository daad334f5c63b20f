"""A process is idle: seen in its threads' states, or in its CPU time where they cannot be seen."""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pruning_core.system import thread_idle
from pruning_core.system.thread_idle import (
    CPU_STEP_S,
    IDLE_POLLS,
    MAX_WAIT_S,
    POLL_EVERY_S,
    other_threads_running,
    wait_until_idle,
)

NOWHERE = Path("/nowhere")


def write_threads(folder: Path, **states: str) -> None:
    """Lay out threads as Linux does, with names that are hard to read."""
    for task, state in states.items():
        (folder / task).mkdir(exist_ok=True)
        (folder / task / "stat").write_text(f"{task} (R) pool) {state} 1 17 17 0 -1\n")


@pytest.mark.parametrize(("state", "runs"), [("R", True), ("S", False), ("D", False), ("Z", False)])
def test_the_state_of_another_thread_is_read(tmp_path: Path, state: str, runs: bool) -> None:
    """Running, or ready to run, counts; asleep, waiting for a disk, or dead does not."""
    write_threads(tmp_path, t1="S", t2=state)
    assert other_threads_running(tmp_path) is runs


def test_the_thread_that_asks_does_not_count(tmp_path: Path) -> None:
    """It runs, or it could not ask."""
    write_threads(tmp_path, **{str(threading.get_native_id()): "R"})
    assert not other_threads_running(tmp_path)


def test_a_thread_that_ends_during_a_poll_is_idle(tmp_path: Path) -> None:
    """Its folder was listed, its file is gone."""
    (tmp_path / "t1").mkdir()
    assert not other_threads_running(tmp_path)


def test_it_is_idle_once_nothing_ran_in_two_polls(tmp_path: Path) -> None:
    """A pool that is quiet in one poll and runs again in the next is not idle."""
    seen = iter("RSRRSS")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        write_threads(tmp_path, t1=next(seen))

    write_threads(tmp_path, t1="R")
    wait_until_idle(wait=wait, tasks=tmp_path)
    assert waits == [POLL_EVERY_S] * 6
    assert IDLE_POLLS == 2


def test_an_idle_process_waits_for_one_poll_more(tmp_path: Path) -> None:
    """That is the least that a wait costs."""
    waits: list[float] = []
    wait_until_idle(wait=waits.append, tasks=tmp_path)
    assert waits == [POLL_EVERY_S]


@pytest.mark.parametrize("states_are_seen", [True, False])
def test_a_wait_for_a_busy_process_ends(tmp_path: Path, states_are_seen: bool) -> None:
    """A thread that works on delays each sample by half a second, no more."""
    write_threads(tmp_path, t1="R")
    waits: list[float] = []
    wait_until_idle(
        wait=waits.append, tasks=tmp_path if states_are_seen else NOWHERE, cpu_clock=lambda: sum(waits)
    )
    assert sum(waits) == pytest.approx(MAX_WAIT_S)


def test_where_states_are_not_told_cpu_time_does() -> None:
    """A thread that spins for 25 ms is waited for in steps of 10 ms, the last of which it does not use."""
    waits: list[float] = []
    wait_until_idle(wait=waits.append, tasks=NOWHERE, cpu_clock=lambda: min(sum(waits), 0.025))
    assert waits == [CPU_STEP_S] * 4


@pytest.fixture
def at_work() -> Iterator[Callable[[], bool]]:
    """Start a thread that works for a while and holds no lock of Python; tell whether it still does."""
    started, working = threading.Event(), True

    def work() -> None:
        nonlocal working
        started.set()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000)
        working = False

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    yield lambda: working
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the states of threads")
def test_a_real_thread_is_waited_for(at_work: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, however long others keep it from a core: its work is over when the wait is."""
    monkeypatch.setattr(thread_idle, "MAX_WAIT_S", 120.0)
    wait_until_idle()
    assert not at_work()

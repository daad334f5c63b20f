"""Code that does not end is ended, by the CPU time that it took."""

import threading
import time

import pytest

from pruning_core.system import time_limit as module
from pruning_core.system.time_limit import OutOfTimeError, time_limit


def work(seconds: float) -> float:
    """Compute for so much CPU time of this thread; return what it took in fact."""
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        pass
    return time.thread_time() - begun


def test_work_without_end_is_ended() -> None:
    """At the next line of Python after the limit."""
    with pytest.raises(OutOfTimeError), time_limit(0.1):
        work(600.0)


def test_who_gets_no_core_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes on the clock while others run is not its time; here it sleeps instead."""
    monkeypatch.setattr(module, "BY_THE_CLOCK", 1000)
    slept = 0
    with time_limit(0.2):
        for _ in range(30):
            time.sleep(0.02)
            slept += 1
    assert slept == 30


def test_others_work_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread of this process may compute for as long as it likes."""
    monkeypatch.setattr(module, "BY_THE_CLOCK", 1000)
    other = threading.Thread(target=work, args=(0.6,))
    with time_limit(0.2):
        other.start()
        other.join()
    assert not other.is_alive()


def test_who_waits_for_ever_is_ended_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no CPU time at all, and must not hang the program."""
    monkeypatch.setattr(module, "BY_THE_CLOCK", 3)

    def wait() -> None:
        for _ in range(6000):
            time.sleep(0.01)

    with pytest.raises(OutOfTimeError), time_limit(0.1):
        wait()


def test_work_that_ends_in_time_is_left_alone() -> None:
    """Nothing comes later, either."""
    ended = 0
    for _ in range(50):
        with time_limit(0.05):
            ended += 1
    assert work(0.2) >= 0.2
    assert ended == 50


def test_a_system_that_cannot_tell_threads_apart_counts_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    with pytest.raises(OutOfTimeError), time_limit(0.1):
        work(600.0)

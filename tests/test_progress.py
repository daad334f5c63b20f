"""How progress is drawn while something is being timed."""

import io
import threading
import time

import pytest

from pruning_core import progress
from pruning_core.console import silence
from pruning_core.progress import ProgressDisplay


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_a_quiet_bar_has_no_thread_and_is_drawn_seldom(monkeypatch):
    """While something is timed nothing is drawn but in our own calls, and not in each of them."""
    stream = Terminal()
    monkeypatch.setattr(progress, "_DRAW_EVERY_S", 3600.0)
    threads = threading.active_count()
    with ProgressDisplay(stream).work("time a cell", quiet=True) as advance:
        assert threading.active_count() == threads
        advance(1, 10)
        drawn = stream.tell()
        for done in range(2, 10):
            advance(done, 10)
        assert stream.tell() == drawn
        monkeypatch.setattr(progress, "_DRAW_EVERY_S", 0.0)
        advance(10, 10)
        assert stream.tell() > drawn


def test_another_bar_draws_itself():
    """Work that is not timed has a bar that goes on while it computes."""
    threads = threading.active_count()
    with ProgressDisplay(Terminal()).work("train"):
        assert threading.active_count() == threads + 2  # and one that breaks the silence of a step


def test_the_time_left_does_not_count_what_comes_once(monkeypatch):
    """A warm-up before the first step, or steps of an earlier session, do not enter the estimate."""
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    with ProgressDisplay(stream).work("time cells") as advance:
        for now, done in ((100.0, 11), (120.0, 21)):  # noqa: B007  # `now` is what the clock says
            advance(done, 31)
    assert "time cells: 21/31 (68%), 20 s left" in stream.getvalue()
    assert "11/31" not in stream.getvalue()


@pytest.fixture
def soon(monkeypatch):
    """Let silence be long after a moment."""
    monkeypatch.setattr(silence, "FIRST_LINE_S", 0.02)
    monkeypatch.setattr(silence, "NEXT_LINES_S", 0.02)


def wait_for(text, stream, times=1):
    """Wait, as a step that hangs does, until something was shown."""
    for _ in range(3000):
        if stream.getvalue().count(text) >= times:
            return
        time.sleep(0.01)
    raise AssertionError(f"{text!r} was not shown; only: {stream.getvalue()}")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_a_step_that_hangs_is_spoken_of(soon, stream):
    """What does not move on is named with the step that is waited for, again and again, until it does."""
    noted = []
    with ProgressDisplay(stream).work("train", on_silence=noted.append) as advance:
        wait_for("waiting for its first step", stream, times=2)
        advance(4, 9)
        wait_for("waiting for step 5 of 9", stream)
    assert {"train, its first step", "train, step 5 of 9"} == set(noted)


def test_waiting_is_spoken_of(soon, monkeypatch):
    """An export that takes long is named; one that does not shows nothing at all."""
    stream, noted = io.StringIO(), []
    with ProgressDisplay(stream).waiting_for("export", noted.append):
        wait_for("export: not done yet, waiting for", stream)
    assert "export" in noted
    assert not [thread for thread in threading.enumerate() if thread.name == "silence"]
    silent = io.StringIO()
    monkeypatch.setattr(silence, "FIRST_LINE_S", 60.0)
    with ProgressDisplay(silent).waiting_for("export"):
        pass
    assert silent.getvalue() == ""


def test_silence_is_broken_after_half_a_minute_and_each_minute():
    """The limits are those that are promised."""
    assert (silence.FIRST_LINE_S, silence.NEXT_LINES_S) == (30.0, 60.0)


def test_quiet_work_is_watched_where_that_is_asked_for(soon):
    """A plan's times are drawn seldom, and yet a step that hangs is reported."""
    stream = io.StringIO()
    with ProgressDisplay(stream).work("time", quiet=True, watched=True):
        wait_for("no step ended for", stream)
    with ProgressDisplay(stream).work("a cell", quiet=True):
        time.sleep(0.2)
    assert "a cell: no step" not in stream.getvalue()


def test_each_phase_is_shown_by_its_name():
    """Another name ends one phase and begins the next; the work as a whole may have a name."""
    stream = io.StringIO()
    with ProgressDisplay(stream).phases("resnet18") as show:
        show("load", 0, 2)
        show("load", 1, 2)
        show("time", 1, 10)
    ends = [line.partition(" in ")[0] for line in stream.getvalue().splitlines()]
    assert ends == ["resnet18: load: done", "resnet18: time: done"]

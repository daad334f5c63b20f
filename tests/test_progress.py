"""How progress is drawn while something is being timed."""

import io
import threading

from pruning_core import progress
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
        assert threading.active_count() == threads + 1


def test_the_time_left_does_not_count_what_comes_once(monkeypatch):
    """A warm-up before the first step, or steps of an earlier session, do not enter the estimate."""
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    with ProgressDisplay(stream).work("time cells") as advance:
        for now, done in ((100.0, 11), (120.0, 21)):  # noqa: B007  # `now` is what the clock says
            advance(done, 31)
    assert "time cells: 21/31 (68%), 20 s left" in stream.getvalue()
    assert "11/31" not in stream.getvalue()

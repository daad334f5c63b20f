"""A clock, and what it times: handed in everywhere, so that tests set the time."""

from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since any moment, as `time.perf_counter`."""

Call = Callable[[], object]

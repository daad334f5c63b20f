"""A clock for shapes: a network takes as many milliseconds as it has work, whatever else the machine does."""

from pruning_core.pruning.cost import count_cost
from pruning_core.shapes import group_times
from pruning_core.shapes.timing import SettingTimes, ShapeTime


def work_of(network, example):
    """Return the work of a network, in milliseconds: its products, and a little for being called."""
    return 0.01 + count_cost(network, example).macs_products / 1e6


def fake_time_shapes(monkeypatch, *, fails=False):
    """Replace what times networks; return a list that gets the number of networks of each call.

    Args:
        monkeypatch: Of the test.
        fails: Whether no network can be run.
    """
    asked = []

    def time_shapes(reference, networks, example, settings, options):
        asked.append(len(networks))
        dense = work_of(reference, example)
        works = [work_of(network, example) for network in networks]
        times = [
            None if fails else ShapeTime(ms, dense, dense / ms, 0.1, 99.0, 9, (ms, ms), (dense, dense))
            for ms in works
        ]
        return [SettingTimes(settings[0], tuple(times), None, ("",) * len(networks), "")]

    monkeypatch.setattr(group_times, "time_shapes", time_shapes)
    return asked

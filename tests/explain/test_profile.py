"""Profiles in rounds, with made-up times: what is compared with what, and what is said of gaps."""

import pytest

from pruning_core.explain.profile import (
    NetworkProfile,
    Node,
    ProfiledCall,
    Profiler,
    Round,
    profile_in_rounds,
)


class Clock:
    """Seconds that pass only where a profiler says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Recorded(Profiler):
    """A network whose calls take the given times, one after another."""

    def __init__(self, clock: Clock, log: list[str], name: str, seconds: float) -> None:
        self._clock, self._log, self._name, self._seconds = clock, log, name, seconds
        self._calls: list[ProfiledCall] = []

    def call(self) -> None:
        self._log.append(self._name)
        self._clock.now += self._seconds

    def call_profiled(self) -> None:
        ms = 1e3 * self._seconds
        self._calls.append(
            ProfiledCall(ms, (Node("a", "a", "layer", 0.9 * ms), Node("b", "", "other", 0.05 * ms)))
        )

    def finish(self) -> list[ProfiledCall]:
        return self._calls


def test_networks_take_rounds_one_after_another() -> None:
    """In each round every network is called, so that drift meets all of them."""
    clock, log = Clock(), []
    recorded = {name: Recorded(clock, log, name, seconds) for name, seconds in (("x", 0.02), ("y", 0.04))}
    found = profile_in_rounds(recorded, 3, clock=clock)
    assert log[6:] == ["x", "x", "y", "y"] * 3  # after three calls each to warm up; the first is not timed
    assert [len(found[name].rounds) for name in "xy"] == [3, 3]
    assert found["y"].whole_ms == pytest.approx(40)
    assert found["y"].times("layer") == {"a": pytest.approx(36)}
    assert found["y"].times("other") == {"": pytest.approx(2)}
    assert found["x"].series("a") == [pytest.approx(18)] * 3
    assert found["x"].covered == pytest.approx(0.95)
    assert found["x"].gap == ""


def test_quick_networks_are_called_often_in_a_round() -> None:
    """A call of a tenth of a millisecond is no sample; so many of them are."""
    clock, log = Clock(), []
    profile_in_rounds({"x": Recorded(clock, log, "x", 0.0005)}, 1, clock=clock)
    assert len(log) == 3 + 1 + 20


def test_a_disturbed_round_is_in_no_share() -> None:
    """What another process took in one round does not make a layer slow."""
    quiet = Round(10.0, 10.0, (Node("a", "a", "layer", 9.5),))
    disturbed = Round(10.0, 90.0, (Node("a", "a", "layer", 89.5),))
    profile = NetworkProfile((quiet, disturbed, quiet, quiet))
    assert profile.times("layer") == {"a": 9.5}
    assert profile.covered == pytest.approx(0.95)


def test_nodes_are_held_against_the_call_of_their_own_round() -> None:
    """Where the machine changes between rounds, nodes of quick ones are not compared with slow calls."""
    rounds = [
        Round(whole, profiled, (Node("a", "a", "layer", 0.9 * whole),))
        for whole, profiled in ((10.0, 21.0), (20.0, 20.0), (30.0, 40.0), (10.0, 22.0))
    ]
    profile = NetworkProfile(tuple(rounds))
    assert profile.times("layer") == {"a": pytest.approx(18.0)}, "of the round whose profile was quickest"
    assert profile.covered == pytest.approx(0.9)
    assert profile.framework_ms == pytest.approx(2.0)
    assert profile.shared_ms == pytest.approx(20.0)
    more = NetworkProfile((Round(10.0, 15.0, (Node("a", "a", "layer", 12.0),)),))
    assert (more.framework_ms, more.shared_ms) == (0.0, 12.0)
    none = NetworkProfile((Round(10.0, 15.0, ()),))
    assert (none.framework_ms, none.shared_ms) == (10.0, 10.0)


@pytest.mark.parametrize(
    ("sum_ms", "said"), [(9.2, ""), (10.9, ""), (7.0, "30 % of the call are in no node"), (12.0, "20 % more")]
)
def test_a_sum_that_is_not_the_whole_is_said(sum_ms: float, said: str) -> None:
    """Beyond ten percent, in either direction, the profile says what is missing."""
    profile = NetworkProfile((Round(10.0, 10.0, (Node("a", "a", "layer", sum_ms),)),))
    assert said in profile.gap
    assert bool(said) == bool(profile.gap)

"""Where the time of a network goes, node by node, beside the time of the whole call.

    networks  →  each loaded twice: as it is, and with the runtime's own profile
              →  rounds: every network is called plainly, then profiled, one after another
              →  a `NetworkProfile` each: time of the whole, time of each layer, what is left over

All numbers of a round are of neighbouring moments, so layers of two networks are compared round by round.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal, TypeVar

from pruning_core.system.clock import Clock

Kind = Literal["layer", "conversion", "other"]

Item = TypeVar("Item")

MAX_GAP = 0.1
"""Of the whole call: where nodes add up to more or less than this, the profile says so."""

ROUNDS = 20
SAMPLE_S = 0.01
MAX_CALLS = 50
"""Calls in a round: as many as last so long."""

WARM_UP_CALLS = 3

QUIET_SHARE = 0.3
"""Of the calls of a round, and of the rounds, those that were quickest: shares are of these alone.

A call that another process disturbs takes several times as long, and one of its nodes has it all.
"""


@dataclass(frozen=True)
class Node:
    """What a runtime ran in one go, and how long."""

    name: str
    layer: str  # what it belongs to: of a conversion the layer that it stands before; empty: none
    kind: Kind
    ms: float


@dataclass(frozen=True)
class ProfiledCall:
    """One call, profiled."""

    ms: float  # the whole call, profiled
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Round:
    """One round of one network."""

    whole_ms: float  # a call that is not profiled
    profiled_ms: float
    nodes: tuple[Node, ...]  # mean of the profiled calls


@dataclass(frozen=True)
class NetworkProfile:
    """What was measured of one network."""

    rounds: tuple[Round, ...]
    note: str = ""  # what the profile cannot see

    @property
    def whole_ms(self) -> float:
        """A call as users make it."""
        return fmean(quickest([one.whole_ms for one in self.rounds]))

    def times(self, kind: Kind) -> dict[str, float]:
        """Return layer → milliseconds of its nodes of a kind; under the empty name what is of no layer."""
        quiet = quickest(self.rounds, key=lambda one: one.profiled_ms)
        found: dict[str, float] = {}
        for one in quiet:
            for node in one.nodes:
                if node.kind == kind:
                    found[node.layer] = found.get(node.layer, 0.0) + node.ms / len(quiet)
        return found

    def series(self, layer: str) -> list[float]:
        """Return the milliseconds of a layer in each round, its conversions left out."""
        return [
            sum(node.ms for node in one.nodes if node.kind == "layer" and node.layer == layer)
            for one in self.rounds
        ]

    @property
    def sum_ms(self) -> float:
        """All nodes together."""
        return sum(sum(self.times(kind).values()) for kind in ("layer", "conversion", "other"))

    @property
    def shared_ms(self) -> float:
        """What shares of time are shares of: the call, or all nodes where they add up to more."""
        return self.sum_ms + self.framework_ms

    @property
    def framework_ms(self) -> float:
        """What nodes leave of a call in their rounds; nothing where they add up to more."""
        return self.sum_ms * max(0.0, 1 / self.covered - 1) if self.covered else self.whole_ms

    @property
    def covered(self) -> float:
        """What the nodes add up to, as a fraction of the call beside them: the median of all rounds."""
        return median(sum(node.ms for node in one.nodes) / one.whole_ms for one in self.rounds)

    @property
    def gap(self) -> str:
        """What is missing, or too much, in words; empty where the nodes add up to the whole."""
        percent = 100 * (self.covered - 1)
        if abs(percent) <= 100 * MAX_GAP:
            return ""
        if percent < 0:
            return (
                f"{-percent:.0f} % of the call are in no node of the profile: calling the runtime, starting "
                "its threads and waiting for them"
            )
        return (
            f"the profile itself takes time: its nodes add up to {percent:.0f} % more than the call; shares "
            "are of their sum"
        )


class Profiler(ABC):
    """A network on a backend, ready to be called plainly and to be profiled."""

    note = ""

    @abstractmethod
    def call(self) -> object:
        """Run the network once, as users do."""

    @abstractmethod
    def call_profiled(self) -> object:
        """Run it once and keep the profile."""

    def begin_round(self) -> object:
        """Get ready for the profiled calls of a round; the first of them is not counted."""
        return None

    @abstractmethod
    def finish(self) -> Sequence[ProfiledCall]:
        """Return the profiles of all calls, in their order."""


def profile_in_rounds(
    profilers: Mapping[str, Profiler],
    rounds: int = ROUNDS,
    *,
    wait_until_idle: Callable[[], object] = lambda: None,
    advance: Callable[[int, int], object] = lambda done, planned: None,
    clock: Clock = time.perf_counter,
) -> dict[str, NetworkProfile]:
    """Call and profile networks in rounds.

    Args:
        profilers: Name of a network → what profiles it.
        rounds: At least one.
        wait_until_idle: Called before another network runs: threads of the last one may still spin.
        advance: Called with the rounds done and planned.
        clock: Seconds that only go up.
    """
    calls = {name: _warm_up(profiler, clock) for name, profiler in profilers.items()}
    whole: dict[str, list[float]] = {name: [] for name in profilers}
    for done in range(rounds):
        for name, profiler in profilers.items():
            wait_until_idle()
            profiler.call()
            took = [_seconds_of(profiler.call, clock) for _ in range(calls[name])]
            whole[name].append(1e3 * fmean(quickest(took)))
            wait_until_idle()
            profiler.begin_round()
            for _ in range(calls[name] + 1):
                profiler.call_profiled()
        advance(done + 1, rounds)
    found = {}
    for name, profiler in profilers.items():
        profiled = profiler.finish()[WARM_UP_CALLS:]
        size = calls[name] + 1
        groups = [
            quickest(profiled[start + 1 : start + size], key=lambda call: call.ms)
            for start in range(0, size * rounds, size)
        ]
        found[name] = NetworkProfile(
            tuple(
                Round(ms, fmean(call.ms for call in group), _mean_nodes(group))
                for ms, group in zip(whole[name], groups, strict=True)
            ),
            profiler.note,
        )
    return found


def quickest(items: Sequence[Item], key: Callable[[Item], Any] = lambda item: item) -> list[Item]:
    """Return the quickest of some measurements, at least one (see `QUIET_SHARE`)."""
    return sorted(items, key=key)[: max(1, round(QUIET_SHARE * len(items)))]


def _warm_up(profiler: Profiler, clock: Clock) -> int:
    """Call a network a few times, and return how many calls a round has."""
    took = []
    for _ in range(WARM_UP_CALLS):
        profiler.call_profiled()
        took.append(_seconds_of(profiler.call, clock))
    return max(1, min(MAX_CALLS, round(SAMPLE_S / max(min(took), 1e-9))))


def _seconds_of(call: Callable[[], object], clock: Clock) -> float:
    started = clock()
    call()
    return clock() - started


def _mean_nodes(calls: Sequence[ProfiledCall]) -> tuple[Node, ...]:
    """Return each node with its mean time; a node that runs twice in a call counts twice."""
    sums: dict[tuple[str, str, Kind], float] = {}
    for call in calls:
        for node in call.nodes:
            key = (node.name, node.layer, node.kind)
            sums[key] = sums.get(key, 0.0) + node.ms
    return tuple(Node(*key, ms / len(calls)) for key, ms in sums.items())

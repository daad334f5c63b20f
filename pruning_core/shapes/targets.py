"""Find the ratios that meet targets: of time by timing untrained shapes, of counts by counting them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.searched_grid import FoundRatio
from pruning_core.config.target_kinds import Target
from pruning_core.errors import BackendError, PruningError
from pruning_core.models.inputs import Inputs
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.cost import count_cost, serialised_size_bytes
from pruning_core.records.targets import TOLERANCE
from pruning_core.shapes.memory import in_sessions
from pruning_core.shapes.pruned import PrunedShapes, Shape
from pruning_core.shapes.search import Crossing, RatioSearch
from pruning_core.shapes.timing import Advance, Setting, SettingTimes, ShapeTime, time_shapes

SEARCH_VERSION = 4
"""Raised whenever a search would find other ratios."""

MARGIN = 0.05
"""A ratio is taken for a target of time if it goes this fraction beyond: sessions on shared cores differ."""

LOOK = LatencyOptions(
    min_rounds=5,
    max_rounds=10,
    target_error=0.04,
    budget_s=2.0,
    warmup_ms=50.0,
    sample_ms=10.0,
    confidence=0.8,
)
"""Rounds of a first look at a shape: they say where to look closely."""

CLOSE_LOOK = LatencyOptions(
    min_rounds=10, max_rounds=40, target_error=0.015, budget_s=10.0, warmup_ms=100.0, sample_ms=10.0
)
"""Rounds of the shapes around a crossing."""

TimeShapes = Callable[[nn.Module, Sequence[nn.Module], Inputs, Setting, bool, Advance], SettingTimes]
"""Times networks against a reference in one setting, closely or not; another one in tests."""


def time_in(
    reference: nn.Module,
    networks: Sequence[nn.Module],
    example: Inputs,
    setting: Setting,
    closely: bool,
    advance: Advance,
) -> SettingTimes:
    """Time networks in one setting; a control beside them only in a close look."""
    options = CLOSE_LOOK if closely else LOOK
    (found,) = time_shapes(
        reference, networks, example, [setting], options, with_control=closely, advance=advance
    )
    return found


def find_for_times(
    shapes: PrunedShapes,
    targets: Sequence[Target],
    setting: Setting,
    display: ProgressDisplay,
    label: str,
    time: TimeShapes = time_in,
) -> list[FoundRatio]:
    """Find the ratios that meet targets of time in one setting.

    Args:
        shapes: Of the network.
        targets: Speed-ups and latencies.
        setting: Where they are to be met.
        display: Shows what is being timed.
        label: The network in words.
        time: Times shapes.

    Raises:
        BackendError: If the backend cannot run the network, or any of it pruned.
    """
    timer = _Timer(shapes, setting, display, label, time)
    search = RatioSearch(
        shapes.ratios,
        timer.look,
        lambda goal, look: _times_over(targets[goal], look),
        len(targets),
        noisy=True,
        allowed=1 - (1 - TOLERANCE) / (1 + MARGIN),
    )
    found = search.run()
    return [
        _found_time(target, crossing, setting, timer.contention)
        for target, crossing in zip(targets, found, strict=True)
    ]


def find_for_counts(shapes: PrunedShapes, targets: Sequence[Target]) -> list[FoundRatio]:
    """Find the ratios that meet targets of MACs, parameters and bytes: exactly, without timing."""
    counted: dict[Shape, _Counts] = {}

    def look(ratios: Sequence[float], closely: bool) -> Mapping[float, _Counts]:
        found = {}
        for ratio in ratios:
            try:
                network, shape = shapes.network(ratio)
            except PruningError:
                continue
            if shape not in counted:
                cost = count_cost(network, shapes.example)
                counted[shape] = _Counts(cost.macs, cost.params, serialised_size_bytes(network))
            found[ratio] = counted[shape]
        return found

    dense = look([0.0], False)[0.0]

    def value(target: Target, counts: _Counts) -> float:
        count = max(counts.of(target), 1e-9)
        return dense.of(target) / count if target.factor else count

    def times_over(goal: int, counts: _Counts) -> float:
        target = targets[goal]
        got = value(target, counts)
        return got / target.amount if target.factor else target.amount / got

    found = RatioSearch(shapes.ratios, look, times_over, len(targets), noisy=False).run()
    results = []
    for target, crossing in zip(targets, found, strict=True):
        got = value(target, crossing.look)
        results.append(FoundRatio(target, "", crossing.reached, crossing.ratio, got, got, got))
    return results


@dataclass(frozen=True)
class _Counts:
    macs: int
    params: int
    size_bytes: int

    def of(self, target: Target) -> float:
        """Return the count that a target is about, in its unit."""
        return {
            "target_macs": float(self.macs),
            "target_params": float(self.params),
            "target_size_mb": self.size_bytes / 1e6,
        }[target.key]


class _Timer:
    """Looks at ratios by timing their shapes, each shape once a look."""

    def __init__(
        self, shapes: PrunedShapes, setting: Setting, display: ProgressDisplay, label: str, time: TimeShapes
    ) -> None:
        self._shapes, self._setting, self._display, self._label = shapes, setting, display, label
        self._time = time
        self._known: dict[tuple[Shape, bool], ShapeTime] = {}
        self._dense: ShapeTime | None = None
        self.contention = ""

    def look(self, ratios: Sequence[float], closely: bool) -> dict[float, ShapeTime]:
        """Time the networks at some ratios against dense, in one session if memory holds them."""
        shape_of: dict[float, Shape] = {}
        networks: dict[Shape, nn.Module] = {}
        errors: list[str] = []
        for ratio in (ratio for ratio in ratios if ratio > 0):
            try:
                network, shape_of[ratio] = self._shapes.network(ratio)
            except PruningError as error:
                errors.append(str(error))
                continue
            if (shape_of[ratio], closely) not in self._known:
                networks[shape_of[ratio]] = network
        if networks:
            errors += self._time_all(networks, closely)
        found = {
            ratio: self._known[shape, closely]
            for ratio, shape in shape_of.items()
            if (shape, closely) in self._known
        }
        if self._dense is None or (closely and networks and not any(close for _, close in self._known)):
            why = errors[0] if errors else "no ratio makes any layer narrower (round_to)"
            raise BackendError(f"{self._setting.label} can run none of {self._label} pruned: {why}")
        return {**({0.0: self._dense} if 0.0 in ratios else {}), **found}

    def _time_all(self, networks: Mapping[Shape, nn.Module], closely: bool) -> list[str]:
        dense, example = self._shapes.dense, self._shapes.example
        parts = in_sessions(dense, networks, example, self._setting.batch_size)
        return [error for part in parts for error in self._time_together(part, closely)]

    def _time_together(self, networks: Mapping[Shape, nn.Module], closely: bool) -> list[str]:
        number = f"{len(networks)} shape{'s' if len(networks) > 1 else ''}"
        what = f"time {number} of {self._label} on {self._setting.label}{', closely' if closely else ''}"
        with self._display.work(what, quiet=True) as advance:
            found = self._time(
                self._shapes.dense,
                list(networks.values()),
                self._shapes.example,
                self._setting,
                closely,
                advance,
            )
        for shape, timed in zip(networks, found.networks, strict=True):
            if timed is not None:
                self._known[shape, closely] = timed
                if closely or self._dense is None:
                    ms, bounds = timed.reference_ms, timed.reference_bounds_ms
                    self._dense = ShapeTime(ms, ms, 1.0, 1.0, 1.0, timed.rounds, bounds, bounds)
        if closely:
            self.contention = self.contention or found.problem
        return [error for error in found.errors if error]


def _times_over(target: Target, look: ShapeTime) -> float:
    """Return how many times over a target of time and its margin are reached; 1: just so."""
    wanted = 1 + MARGIN
    if target.key == "target_speedup":
        return look.speedup / (wanted * target.amount)
    return target.amount / (wanted * look.latency_ms)


def _found_time(
    target: Target, crossing: Crossing[ShapeTime], setting: Setting, contention: str
) -> FoundRatio:
    look = crossing.look
    reached = crossing.reached
    if target.key == "target_latency_ms":
        bounds = (look.latency_ms, *look.latency_bounds_ms)
    else:
        bounds = (look.speedup, look.speedup_low, look.speedup_high)
        reached = reached and crossing.ratio > 0  # dense is no speed-up, however small the one asked for
    return FoundRatio(target, setting.label, reached, crossing.ratio, *bounds, contention)

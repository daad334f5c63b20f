"""What a comparison of methods is made of: every checkpoint that was scored, by what is equal in it.

Equal is a target (MACs, a speed-up, …) that its ratio was found for, where there was one, else the ratio.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pruning_core.records.controls import DENSE, DENSE_PLUS, architecture_of, is_control
from pruning_core.report.design import How, differing, of_dense, words_of
from pruning_core.report.point import SCOPE, Point, points_of
from pruning_core.report.run_index import RunIndex
from pruning_core.report.subject import Network

Points = dict[str, list[Point]]
"""Method → its points, one for each seed."""


def networks_of(indexes: Sequence[RunIndex]) -> list[Network]:
    """Return the networks that were pruned, each once."""
    subjects = (subject for index in indexes for subject in index.subjects())
    return list(dict.fromkeys(subject.network for subject in subjects if subject.method != DENSE))


def comparisons_of(indexes: Sequence[RunIndex], network: Network) -> Iterator[tuple[str, dict[str, Points]]]:
    """Walk over what was made alike: in words, what tells it from the others, and what is equal → points.

    Args:
        indexes: The runs, each of one seed.
        network: Whose points: those of each method, controls last.
    """
    groups = _made_alike(list(points_of(indexes, network)))
    names, devices = differing(group.how for group in groups), {group.device for group in groups}
    for group in groups:
        if found := dict(_points_alike(group.members)):
            words = (words_of(group.how, names), group.device if len(devices) > 1 else "")
            yield ", ".join(filter(None, words)), found


@dataclass(frozen=True)
class _Group:
    """Points that can be compared: made alike, scored on one device, from one dense checkpoint a seed."""

    how: How
    device: str
    dense: dict[int, str]
    members: list[Point]

    def takes(self, point: Point) -> bool:
        """Tell whether a point is one of them; nothing is cut for `dense+`, which is one of many."""
        same = point.how == self.how
        if point.method == DENSE_PLUS:
            same = of_dense(point.how) == of_dense(self.how)
        return (
            same
            and point.device == self.device
            and self.dense.get(point.seed, point.dense_key) == point.dense_key
        )


def _made_alike(points: Sequence[Point]) -> list[_Group]:
    groups: list[_Group] = []
    for point in sorted(points, key=lambda point: point.method == DENSE_PLUS):
        own = [group for group in groups if group.takes(point)]
        if not own:
            own = [_Group(point.how, point.device, {}, [])]
            groups += own
        for group in own if point.method == DENSE_PLUS else own[:1]:
            group.dense.setdefault(point.seed, point.dense_key)
            group.members.append(point)
    return groups


def _points_alike(points: Sequence[Point]) -> Iterator[tuple[str, Points]]:
    targets: dict[
        str, set[tuple[str, float]]
    ] = {}  # that a ratio was found for; one of time is said of one seed
    for point in points:
        for target in point.targets:
            targets.setdefault(target, set()).add((point.method, point.ratio))
    if targets:
        for target, found in targets.items():
            # files of before 2026-11-29 name no target of `scratch:METHOD`, which takes its method's ratios
            there = [p for p in points if {(p.method, p.ratio), (architecture_of(p.method), p.ratio)} & found]
            ratios = {(point.ratio, point.seed) for point in there if not is_control(point.method)}
            there += [p for p in points if p.method == DENSE_PLUS and (p.ratio, p.seed) in ratios]
            yield from _several(target, there)
    else:
        for ratio in sorted({point.ratio for point in points}):
            yield from _several(f"ratio {ratio:g}", [point for point in points if point.ratio == ratio])


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def base_of(name: str) -> str:
    """Return the name of a method without its scope: `lamp` of `lamp, global`."""
    return name.partition(SCOPE)[0]


def _several(what: str, points: Sequence[Point]) -> Iterator[tuple[str, Points]]:
    by_method: Points = {}
    for point in points:
        same = by_method.setdefault(point.method, [])
        if all(other.seed != point.seed for other in same):  # a seed that several files hold counts once
            same.append(point)
    if len(by_method) > 1:
        yield what, dict(sorted(by_method.items(), key=lambda item: is_control(item[0])))

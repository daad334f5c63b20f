"""What a comparison of methods is made of: every checkpoint that was scored, by what is equal in it.

Equal is a target (MACs, a speed-up, …) that its ratio was found for, where there was one, else the ratio.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean

from pruning_core.records.controls import DENSE_PLUS, THIN, architecture_of, is_control
from pruning_core.records.fields import Record
from pruning_core.records.score import score_of
from pruning_core.records.target_lines import SEPARATOR
from pruning_core.records.targets import MISSED
from pruning_core.report.design import How, differing, how_of, words_of
from pruning_core.report.run_index import DENSE, REFERENCE, RunIndex
from pruning_core.report.subject import Network, Subject
from pruning_core.report.table import failure_of


@dataclass(frozen=True)
class Point:
    """One checkpoint: a method at a ratio, of one seed."""

    method: str
    ratio: float
    seed: int
    score: float
    resolution: float  # the least difference between two scores: of an accuracy, one image
    backend: str  # that it was scored on
    macs: int | None
    params: int | None
    dense_macs: int | None
    speedup: float | None  # over dense on the main backend, at the smallest batch size
    targets: tuple[str, ...]  # that its ratio was found for
    missed: tuple[str, ...]  # of these: those that the checkpoint itself does not meet
    how: How  # it was made, but for its scope and what it is made fast on, which its name says
    device: str  # that it was scored on
    dense_key: str  # of the dense checkpoint that its drop is counted from
    epochs: int | None = None  # of its last training
    failure: str = ""

    @property
    def mac_reduction(self) -> float | None:
        """How many times fewer MACs than dense."""
        return self.dense_macs / self.macs if self.dense_macs and self.macs else None


SCOPE = ", "
"""Between the name of a method and its scope, where that is not local."""

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
    groups = _made_alike(list(_points(indexes, network)))
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
        same = point.method == DENSE_PLUS or point.how == self.how
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


def control_of(name: str, control: str, points: Points) -> str | None:
    """Return the control of a method that is there: in the method's scope, else in the local one."""
    scope = name.partition(SCOPE)[2]
    names = (f"{control}{SCOPE}{scope}", control) if scope else (control,)
    return next((named for named in names if named in points), None)


def _several(what: str, points: Sequence[Point]) -> Iterator[tuple[str, Points]]:
    by_method: Points = {}
    for point in points:
        same = by_method.setdefault(point.method, [])
        if all(other.seed != point.seed for other in same):  # a seed that several files hold counts once
            same.append(point)
    if len(by_method) > 1:
        yield what, dict(sorted(by_method.items(), key=lambda item: is_control(item[0])))


def _points(indexes: Sequence[RunIndex], network: Network) -> Iterator[Point]:
    for index in indexes:
        for subject in index.subjects():
            if subject.network == network and subject.method != DENSE:
                for device in index.devices(subject):
                    yield from _of_device(index, subject, device)


def _of_device(index: RunIndex, subject: Subject, device: str) -> Iterator[Point]:
    dense = index.cost(subject, 0.0) or index.scored(subject, 0.0, REFERENCE, device) or {}
    backends = dict.fromkeys((REFERENCE, index.main_backend(subject, device)))
    batch_sizes = index.batch_sizes(subject, device)
    for ratio in index.ratios(subject, device):
        if not ratio:
            continue
        for backend in backends:
            record = index.scored(subject, ratio, backend, device)
            score = score_of(record)
            if record is None or score is None or "seed" not in record:
                continue
            cost = index.cost(subject, ratio) or {}
            timed = index.latency(subject, ratio, backend, device, batch_sizes[0]) if batch_sizes else None
            judged = [
                pair
                for r in index.records_of(subject, device)
                if r.get("ratio") == ratio
                for pair in _targets_of(r)
            ]
            yield Point(
                method=_named(subject.method, record),
                ratio=ratio,
                seed=record["seed"],
                score=score.value,
                resolution=1 / score.n if score.measure.is_accuracy and score.n else 0.0,
                backend=" ".join(backend),
                macs=cost.get("macs"),
                params=cost.get("params"),
                dense_macs=dense.get("macs"),
                speedup=timed.get("speedup") if timed else None,
                targets=tuple(dict.fromkeys(target for target, _ in judged)),
                missed=tuple(dict.fromkeys(target for target, met in judged if met == MISSED)),
                how=how_of({**record, "scope": None, "optimize_for": None}),
                device=device,
                dense_key=str(dense.get("key", index.file)),
                epochs=cost.get("epochs"),
                failure=failure_of(record),
            )
            break


def _named(method: str, record: Record) -> str:
    """Name a method with its scope, where that is not local: one method in two scopes is two.

    So is one that is made fast on two backends.
    """
    scope = str(record.get("scope", "local"))
    if method in (DENSE_PLUS, THIN):
        return method
    method = f"{method} ({record['optimize_for']})" if "optimize_for" in record else method
    return method if scope == "local" else f"{method}{SCOPE}{scope}"


def _targets_of(record: Record) -> list[tuple[str, str]]:
    """Return the targets that a record is about, each with whether it is met."""
    targets, met = (str(record.get(name, "")).split(SEPARATOR) for name in ("target", "target_met"))
    return list(zip_longest(targets, met, fillvalue="")) if record.get("target") else []

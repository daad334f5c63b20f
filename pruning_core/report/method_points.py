"""What a comparison of methods is made of: every checkpoint that was scored, by what is equal in it.

Equal is a target (MACs, a speed-up, …) that its ratio was found for, where there was one, else the ratio.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean

from pruning_core.records.controls import DENSE_PLUS, THIN, architecture_of, is_control
from pruning_core.records.fields import Record
from pruning_core.records.score import score_of
from pruning_core.records.target_lines import SEPARATOR
from pruning_core.records.targets import MISSED
from pruning_core.report.run_index import DENSE, REFERENCE, RunIndex
from pruning_core.report.subject import Network, Subject


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
    schedule: str
    dense_key: str  # of the dense checkpoint that its drop is counted from
    epochs: int | None = None  # of its last training

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


def comparisons_of(indexes: Sequence[RunIndex], network: Network) -> Iterator[dict[str, Points]]:
    """Walk over what was trained alike: what is equal, in words → the points of each method, controls last.

    Args:
        indexes: The runs, each of one seed.
        network: Whose points.
    """
    for alike in _trained_alike(_points(indexes, network)):
        if found := dict(_points_alike(alike)):
            yield found


def _trained_alike(points: Iterable[Point]) -> list[list[Point]]:
    """Divide points into those that can be compared: of one schedule, from one dense checkpoint a seed."""
    groups: list[tuple[str, dict[int, str], list[Point]]] = []
    for point in points:
        for schedule, dense, members in groups:
            key = dense.setdefault(point.seed, point.dense_key)
            if (point.schedule, point.dense_key) == (schedule, key):
                members.append(point)
                break
        else:
            groups.append((point.schedule, {point.seed: point.dense_key}, [point]))
    return [members for _, _, members in groups]


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
                _named(subject.method, str(record.get("scope", "local"))),
                ratio,
                record["seed"],
                score.value,
                1 / score.n if score.measure.is_accuracy and score.n else 0.0,
                " ".join(backend),
                cost.get("macs"),
                cost.get("params"),
                dense.get("macs"),
                timed.get("speedup") if timed else None,
                tuple(dict.fromkeys(target for target, _ in judged)),
                tuple(dict.fromkeys(target for target, met in judged if met == MISSED)),
                str(record.get("schedule", "")),
                str(dense.get("key", index.file)),
                cost.get("epochs"),
            )
            break


def _named(method: str, scope: str) -> str:
    """Name a method with its scope, where that is not local: one method in two scopes is two."""
    return method if scope == "local" or method in (DENSE_PLUS, THIN) else f"{method}{SCOPE}{scope}"


def _targets_of(record: Record) -> list[tuple[str, str]]:
    """Return the targets that a record is about, each with whether it is met."""
    targets, met = (str(record.get(name, "")).split(SEPARATOR) for name in ("target", "target_met"))
    return list(zip_longest(targets, met, fillvalue="")) if record.get("target") else []

"""One checkpoint of a comparison of methods: what it is, how it was trained, and its score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pruning_core.records.controls import DENSE, DENSE_PLUS, THIN
from pruning_core.records.fields import Record
from pruning_core.records.score import score_of
from pruning_core.records.target_lines import SEPARATOR
from pruning_core.records.targets import MISSED
from pruning_core.report.design import How, how_of
from pruning_core.report.epochs import chain_epochs
from pruning_core.report.run_index import REFERENCE, RunIndex
from pruning_core.report.subject import Network, Subject
from pruning_core.report.table import failure_of

SCOPE = ", "
"""Between the name of a method and its scope, where that is not local."""


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
    kept: float  # of its weights: those that are not masked
    masks: bool  # it has the dense widths, and weights of it are masked
    speedup: float | None  # over dense on the main backend, at the smallest batch size
    targets: tuple[str, ...]  # that its ratio was found for
    missed: tuple[str, ...]  # of these: those that the checkpoint itself does not meet
    how: How  # it was made, but for its scope and what it is made fast on, which its name says
    device: str  # that it was scored on
    dense_key: str  # of the dense checkpoint that its drop is counted from
    epochs: int | None  # of its whole chain, dense and penalty included
    from_weights: bool  # its dense network came with trained weights: for how many epochs, nobody knows
    failure: str = ""

    @property
    def mac_reduction(self) -> float | None:
        """How many times fewer MACs than dense."""
        return self.dense_macs / self.macs if self.dense_macs and self.macs else None


def points_of(indexes: Sequence[RunIndex], network: Network) -> Iterator[Point]:
    """Walk over all checkpoints of a network that were scored, of any method but dense.

    Args:
        indexes: The runs, each of one seed.
        network: Whose.
    """
    for index in indexes:
        for subject in index.subjects():
            if subject.network == network and subject.method != DENSE:
                for device in index.devices(subject):
                    yield from _of_device(index, subject, device)


def _of_device(index: RunIndex, subject: Subject, device: str) -> Iterator[Point]:
    dense_cost = index.cost(subject, 0.0) or {}
    dense = dense_cost or index.scored(subject, 0.0, REFERENCE, device) or {}
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
                kept=1 - cost.get("sparsity", 0.0),
                masks=_masks(cost, dense_cost),
                speedup=timed.get("speedup") if timed else None,
                targets=tuple(dict.fromkeys(target for target, _ in judged)),
                missed=tuple(dict.fromkeys(target for target, met in judged if met == MISSED)),
                how=how_of(index, {**record, "scope": None, "optimize_for": None}),
                device=device,
                dense_key=str(dense.get("key", index.file)),
                epochs=_chain_epochs(index, subject, device, ratio, record.get("schedule")),
                from_weights="weights" in record,
                failure=failure_of(record),
            )
            break


def _masks(cost: Record, dense: Record) -> bool:
    """Tell whether weights are masked where a cut would have removed channels: the shape is that of dense."""
    shape, dense_shape = ((record.get("macs"), record.get("params")) for record in (cost, dense))
    return shape == dense_shape and cost.get("sparsity", 0.0) > dense.get("sparsity", 0.0)


def _chain_epochs(
    index: RunIndex, subject: Subject, device: str, ratio: float, schedule: object
) -> int | None:
    earlier = [r for r in index.ratios(subject, device) if 0 < r < ratio] if schedule == "iterative" else []
    return chain_epochs(subject.method, [index.cost(subject, step) for step in (0.0, *earlier, ratio)])


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

"""What may be shipped: each cell that was timed, with all that is known of it; the points of the page too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pruning_core.records.fields import Record
from pruning_core.records.score import Measure, Score, score_of
from pruning_core.report.design import how_of
from pruning_core.report.estimate import Estimate
from pruning_core.report.recommendation.drop import Drops
from pruning_core.report.recommendation.exported import expected_bytes
from pruning_core.report.run_index import RunIndex

_DESIGN = ("method", "ratio", "backend", "precision")
"""Fields that two cells share, beside how they were made, which differ by the seed of training alone."""


@dataclass(frozen=True)
class Candidate:
    """A timed cell: its latency record, and what else is known of it."""

    index: RunIndex
    record: Record
    cost: Record
    total: Estimate | None  # speed-up over dense eager fp32
    measure: Measure
    drop: Estimate | None  # from the dense model, see `drop.py`
    is_reference: bool  # it is that dense model itself

    @property
    def score(self) -> Score | None:
        """How good it is."""
        return score_of(self.record)

    @property
    def trusted(self) -> bool:
        """Whether its times count: neither contaminated nor failed."""
        return not self.record.get("contaminated") and self.record["status"] != "failed"

    @property
    def slowest_ms(self) -> float | None:
        """The upper bound of its latency; without one the latency itself."""
        value: float | None = self.record.get("latency_high_ms", self.record.get("latency_ms"))
        return value

    @property
    def size_bytes(self) -> int | None:
        """Bytes of its weights in fp32."""
        value: int | None = self.cost.get("size_bytes")
        return value

    @property
    def expected_bytes(self) -> int | None:
        """About how many bytes its weights have in the exported file."""
        return expected_bytes(self.record, self.size_bytes)

    @property
    def machine(self) -> str:
        """What milliseconds are compared within: hardware and versions, by their fingerprint."""
        run = self.index.run
        return str(run.machine.get("fingerprint") or f"{run.machine_name}, {self.index.file}")

    @property
    def identity(self) -> tuple[object, ...]:
        """The checkpoint and how it was run: cells that share it are one cell, measured again."""
        names = ("backend", "precision", "device", "threads", "batch_size")
        key = self.record.get("key") or self.record["cell"]
        return self.machine, key, *(self.record.get(name) for name in names)

    @property
    def design(self) -> tuple[object, ...]:
        """What it is but for the seed of its training."""
        return design_of(self.index, self.record, self.cost)


def candidates_of(indexes: Sequence[RunIndex]) -> Iterator[Candidate]:
    """Walk over the timed cells of several files, in their order."""
    costs = costs_of(indexes)
    drops = Drops(indexes)
    for index in indexes:
        for record in index.run.records:
            if record["suite"] == "latency":
                yield Candidate(
                    index,
                    record,
                    costs.get(record.get("key"), {}),
                    index.total_speedup(record),
                    index.subject_of(record).measure,
                    drops.drop_of(index, record),
                    drops.is_reference(index, record),
                )


def costs_of(indexes: Sequence[RunIndex]) -> dict[object, Record]:
    """Return key → cost record."""
    records = (record for index in indexes for record in index.run.records)
    return {record["key"]: record for record in records if record["suite"] == "cost" and "key" in record}


def design_of(index: RunIndex, record: Record, cost: Record) -> tuple[object, ...]:
    """Return what a cell is but for the seed of its training."""
    network = index.subject_of(record).network
    fields = (record.get(name) for name in _DESIGN)
    return *network, *fields, *how_of(index, record), cost.get("epochs")

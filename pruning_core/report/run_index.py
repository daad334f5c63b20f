"""Finds a cell's records within a run, and follows the chain of references of its speed-up."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pruning_core.records.fields import FIELDS, Record
from pruning_core.records.run import Run
from pruning_core.report.dataset_names import Content, content_of

Backend = tuple[str, str]  # name, precision

REFERENCE: Backend = ("eager", "fp32")
DENSE = "dense"
_VERSIONS = ("torch", "torch_pruning", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its bounds, where they are known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Group:
    """What one table is about; the dense model stands in the group of every method."""

    dataset: str
    model: str
    method: str


class _Share(NamedTuple):
    """What a group has on a device."""

    records: list[Record]
    ratios: list[float]
    backends: list[Backend]
    batch_sizes: list[int]


class RunIndex:
    """One run, its records by what they are about."""

    def __init__(self, run: Run, names: Mapping[Content, str]) -> None:
        """Sort the records of `run`; where a cell stands twice, the later one counts.

        Args:
            run: What was measured.
            names: What datasets are called (see `name_datasets`).
        """
        self.run = run
        self._names = names
        self._groups: dict[Group, list[Record]] = {}
        self._shares: dict[tuple[Group, str], _Share] = {}
        self._by_cell: dict[str, Record] = {}
        self._places: dict[tuple[object, ...], Record] = {}
        dense: dict[tuple[str, str], list[Record]] = {}
        self.training = [record for record in run.records if record["suite"] == "training"]
        for record in run.records:
            if record["suite"] == "training":  # about a machine, not about a checkpoint
                continue
            group = Group(
                self.dataset_of(record), *(str(record.get(name, "")) for name in ("model", "method"))
            )
            if group.method == DENSE:
                dense.setdefault((group.dataset, group.model), []).append(record)
            else:
                self._groups.setdefault(group, []).append(record)
            if record["suite"] == "latency":
                self._by_cell[record["cell"]] = record
            self._places[self._place(record)] = record
        for group in list(self._groups):
            self._groups[group] = dense.get((group.dataset, group.model), []) + self._groups[group]
        pruned = {(group.dataset, group.model) for group in self._groups}
        for (dataset, model), records in dense.items():
            if (dataset, model) not in pruned:
                self._groups[Group(dataset, model, DENSE)] = records

    @property
    def name(self) -> str:
        """The machine's short name."""
        return self.run.machine_name

    def dataset_of(self, record: Record) -> str:
        """Return what tables call the dataset of a record."""
        content = content_of(record)
        return self._names.get(content, content[0])

    def facts(self) -> str:
        """Return machine, versions, date and commit in one line."""
        versions = [f"{name} {text}" for name in _VERSIONS if (text := self.run.machine.get(name))]
        return " · ".join(
            x for x in (self.name, *versions, self.run.datetime[:10], self.run.commit[:10]) if x
        )

    def groups(self) -> Iterator[Group]:
        """Walk over what there is a table about."""
        yield from self._groups

    def records_of(self, group: Group, device: str) -> list[Record]:
        """Return the records of a group that belong to a device, or to none."""
        return self._share(group, device).records

    def devices(self, group: Group) -> list[str]:
        """Return the devices of a group; one empty name if nothing has run on any."""
        return list(dict.fromkeys(r["device"] for r in self._groups[group] if "device" in r)) or [""]

    def ratios(self, group: Group, device: str) -> list[float]:
        """Return the ratios of a group, dense (0) first."""
        return self._share(group, device).ratios

    def backends(self, group: Group, device: str) -> list[Backend]:
        """Return the backends of a group on a device: eager fp32 first, then as they ran."""
        return self._share(group, device).backends

    def batch_sizes(self, group: Group, device: str) -> list[int]:
        """Return the batch sizes of a group on a device, smallest first."""
        return self._share(group, device).batch_sizes

    def cost(self, group: Group, ratio: float) -> Record | None:
        """Return the cost record of a checkpoint."""
        return self._find("cost", group, ratio, ("", ""), "", 0)

    def accuracy(self, group: Group, ratio: float, backend: Backend, device: str) -> Record | None:
        """Return the accuracy record of a cell, or a latency record, which also says its accuracy."""
        found = self._find("accuracy", group, ratio, backend, device, 0)
        if found:
            return found
        batches = self.batch_sizes(group, device)
        return next((r for b in batches if (r := self.latency(group, ratio, backend, device, b))), None)

    def latency(
        self, group: Group, ratio: float, backend: Backend, device: str, batch_size: int
    ) -> Record | None:
        """Return the latency record of a cell."""
        return self._find("latency", group, ratio, backend, device, batch_size)

    def total_speedup(self, record: Record) -> Estimate | None:
        """Multiply the speed-ups along the chain of references, down to dense eager fp32.

        Each of the two intervals of a chain holds with its confidence c, so the product's holds with at least
        1 − 2(1 − c).
        """
        value = low = high = 1.0
        seen: set[str] = set()
        while not record.get("is_control"):
            if record["cell"] in seen or not {"speedup", "reference"} <= record.keys():
                return None
            seen.add(record["cell"])
            value *= record["speedup"]
            low *= record.get("speedup_low", 0.0)
            high *= record.get("speedup_high", math.inf)
            reference = self._by_cell.get(record["reference"])
            if reference is None:
                return None
            record = reference
        if not seen:
            return Estimate(1.0, 1.0, 1.0)
        if not math.isfinite(value):  # a chain that no measurement has
            return None
        return Estimate(value, low if low > 0 else None, high if math.isfinite(high) else None)

    def _share(self, group: Group, device: str) -> _Share:
        # Found once: a table asks for each of its rows.
        if (group, device) not in self._shares:
            records = [r for r in self._groups.get(group, []) if r.get("device", device) == device]
            backends = dict.fromkeys(_backend(r) for r in records if "backend" in r)
            self._shares[group, device] = _Share(
                records,
                sorted({r["ratio"] for r in records if "ratio" in r}),
                sorted(backends, key=lambda backend: backend != REFERENCE),
                sorted({r["batch_size"] for r in records if "batch_size" in r}),
            )
        return self._shares[group, device]

    def _find(
        self, suite: str, group: Group, ratio: float, backend: Backend, device: str, batch_size: int
    ) -> Record | None:
        method = group.method if ratio else DENSE
        return self._places.get(
            (suite, group.dataset, group.model, method, ratio, backend, device, batch_size)
        )

    def _place(self, record: Record) -> tuple[object, ...]:
        what = (self.dataset_of(record), *(str(record.get(name, "")) for name in ("model", "method")))
        where = (_backend(record), record.get("device", ""), record.get("batch_size", 0))
        return (record["suite"], *what, record.get("ratio"), *where)


def costs_by_key(runs: Iterable[Run]) -> dict[str, Record]:
    """Return key → cost record over several runs: a key decides what a checkpoint costs, wherever it is."""
    return {
        r["key"]: r
        for run in runs
        for r in run.records
        if r["suite"] == "cost" and "key" in r and "macs" in r
    }


def origin_of(index: RunIndex) -> dict[str, str]:
    """Return where the records of a run came from."""
    run = index.run
    return {
        "file": run.path.name,
        "machine": run.machine_name,
        "machine_fingerprint": str(run.machine.get("fingerprint", "")),
        **{name: str(run.machine.get(name, "")) for name in _VERSIONS},
        "date": run.datetime,
        "commit": run.commit,
    }


def flat_cells(index: RunIndex) -> Iterator[dict[str, object]]:
    """Walk over a run's records with every field, exact, and where each came from."""
    origin = origin_of(index)
    absent = dict.fromkeys(field.name for field in FIELDS)
    for record in index.run.records:
        total = index.total_speedup(record) if record["suite"] == "latency" else None
        yield {
            **origin,
            **absent,
            **record,
            "total_speedup": total.value if total else None,
            "total_speedup_low": total.low if total else None,
            "total_speedup_high": total.high if total else None,
        }


def _backend(record: Record) -> Backend:
    return str(record.get("backend", "")), str(record.get("precision", ""))

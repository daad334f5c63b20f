"""Finds a cell's records within a run, and follows the chain of references of its speed-up."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from pruning_core.records.controls import DENSE
from pruning_core.records.fields import Record
from pruning_core.records.run import Run
from pruning_core.report.dataset_names import Content, content_of
from pruning_core.report.epochs import recipe_epochs
from pruning_core.report.estimate import Estimate
from pruning_core.report.subject import Measures, Network, Subject

BackendPrecision = tuple[str, str]
"""Name of a backend, and its precision."""

REFERENCE: BackendPrecision = ("eager", "fp32")
VERSIONS = ("torch", "torch_pruning", "onnxruntime", "openvino")


class _OnDevice(NamedTuple):
    """What a subject has on a device."""

    records: list[Record]
    ratios: list[float]
    backends: list[BackendPrecision]
    batch_sizes: list[int]


class RunIndex:
    """One run, its records by what they are about."""

    def __init__(self, run: Run, names: Mapping[Content, str], file: str, several: bool) -> None:
        """Sort the records of `run`; where a cell stands twice, the later one counts.

        Args:
            run: What was measured.
            names: What datasets are called (see `name_datasets`).
            file: What the file is called (see `name_files`).
            several: Whether it is one of several files, so that titles must name it.
        """
        self.run = run
        self.file = file
        self.name = f"{file}, {run.machine_name}" if several else run.machine_name
        self._names = names
        self._subjects: dict[Subject, list[Record]] = {}
        self._on_device: dict[tuple[Subject, str], _OnDevice] = {}
        self._by_cell: dict[str, Record] = {}
        self._by_address: dict[tuple[object, ...], Record] = {}
        self._epochs: dict[Network, str | None] = {}
        self._measures = Measures((self.dataset_of(record), record) for record in run.records)
        self._with_threads = _devices_of_several_threads(run.records)
        dense: dict[Network, list[Record]] = {}
        self.training = [record for record in run.records if record["suite"] == "training"]
        for record in run.records:
            if record["suite"] == "training":  # about a machine, not about a checkpoint
                continue
            subject = self.subject_of(record)
            if subject.method == DENSE:
                dense.setdefault(subject.network, []).append(record)
            else:
                self._subjects.setdefault(subject, []).append(record)
            if record["suite"] == "latency":
                self._by_cell[record["cell"]] = record
            self._by_address[self._address(record)] = record
        for subject in list(self._subjects):
            self._subjects[subject] = dense.get(subject.network, []) + self._subjects[subject]
        pruned = {subject.network for subject in self._subjects}
        for (dataset, model, measure), records in dense.items():
            if (dataset, model, measure) not in pruned:
                self._subjects[Subject(dataset, model, DENSE, measure)] = records

    def subject_of(self, record: Record) -> Subject:
        """Return what a record is about."""
        model, method = (str(record.get(name, "")) for name in ("model", "method"))
        dataset = self.dataset_of(record)
        return Subject(dataset, model, method, self._measures.of(dataset, record))

    def dataset_of(self, record: Record) -> str:
        """Return what tables call the dataset of a record."""
        content = content_of(record)
        return self._names.get(content, content[0])

    def provenance(self) -> str:
        """Return machine, versions, date and commit in one line."""
        versions = [f"{name} {text}" for name in VERSIONS if (text := self.run.machine.get(name))]
        return " · ".join(
            x for x in (self.run.machine_name, *versions, self.run.datetime[:10], self.run.commit[:10]) if x
        )

    def subjects(self) -> Iterator[Subject]:
        """Walk over what there is a table about."""
        yield from self._subjects

    def has(self, subject: Subject) -> bool:
        """Tell whether the run has records of a subject."""
        return subject in self._subjects

    def records_of(self, subject: Subject, device: str) -> list[Record]:
        """Return the records of a subject that belong to a device, or to none."""
        return self._found_on(subject, device).records

    def devices(self, subject: Subject) -> list[str]:
        """Return the devices of a subject; one empty name if nothing has run on any.

        One that was timed with several numbers of threads is as many: `cpu, 1 thread` and `cpu, 2 threads`.
        """
        found = dict.fromkeys(self._device_of(r) for r in self._subjects[subject] if "device" in r)
        timed = {self._with_threads.get(device) for device in found}
        return [device for device in found if device not in timed] or [""]

    def ratios(self, subject: Subject, device: str) -> list[float]:
        """Return the ratios of a subject, dense (0) first."""
        return self._found_on(subject, device).ratios

    def backends(self, subject: Subject, device: str) -> list[BackendPrecision]:
        """Return the backends of a subject on a device: eager fp32 first, then as they ran."""
        return self._found_on(subject, device).backends

    def main_backend(self, subject: Subject, device: str) -> BackendPrecision:
        """Return the backend of the first table: eager fp32, or the first that was timed where it was not."""
        found = self._found_on(subject, device)
        timed = {_backend(r) for r in found.records if r["suite"] == "latency"}
        return next((b for b in found.backends if not timed or b in timed), REFERENCE)

    def batch_sizes(self, subject: Subject, device: str) -> list[int]:
        """Return the batch sizes of a subject on a device, smallest first."""
        return self._found_on(subject, device).batch_sizes

    def cost(self, subject: Subject, ratio: float) -> Record | None:
        """Return the cost record of a checkpoint."""
        return self._find("cost", subject, ratio, ("", ""), "", 0)

    def scored(self, subject: Subject, ratio: float, backend: BackendPrecision, device: str) -> Record | None:
        """Return the accuracy record of a cell, or a latency record, which also says its score."""
        found = self._find("accuracy", subject, ratio, backend, device, 0)
        if found:
            return found
        batches = self.batch_sizes(subject, device)
        return next((r for b in batches if (r := self.latency(subject, ratio, backend, device, b))), None)

    def latency(
        self, subject: Subject, ratio: float, backend: BackendPrecision, device: str, batch_size: int
    ) -> Record | None:
        """Return the latency record of a cell."""
        return self._find("latency", subject, ratio, backend, device, batch_size)

    def accuracy_beside(self, latency: Record) -> Record | None:
        """Return the accuracy record of a latency record's cell, of the same checkpoint."""
        _, *what, device, _ = self._address(latency)
        found = self._by_address.get(("accuracy", *what, self._with_threads.get(str(device), device), 0))
        return found if found and found.get("key") == latency.get("key") else None

    def epochs_of(self, record: Record) -> str | None:
        """Return for how many epochs the networks of a record were trained and fine-tuned, as `3 + 2`."""
        network = self.subject_of(record).network
        if network not in self._epochs:
            own = (records for s, records in self._subjects.items() if s.network == network)
            self._epochs[network] = recipe_epochs(chain.from_iterable(own))
        return self._epochs[network]

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

    def _found_on(self, subject: Subject, device: str) -> _OnDevice:
        # Found once: a table asks for each of its rows.
        if (subject, device) not in self._on_device:
            devices = (device, self._with_threads.get(device))
            own = self._subjects.get(subject, [])
            records = [r for r in own if "device" not in r or self._device_of(r) in devices]
            backends = dict.fromkeys(_backend(r) for r in records if "backend" in r)
            self._on_device[subject, device] = _OnDevice(
                records,
                sorted({r["ratio"] for r in records if "ratio" in r}),
                sorted(backends, key=lambda backend: backend != REFERENCE),
                sorted({r["batch_size"] for r in records if "batch_size" in r}),
            )
        return self._on_device[subject, device]

    def _find(
        self,
        suite: str,
        subject: Subject,
        ratio: float,
        backend: BackendPrecision,
        device: str,
        batch_size: int,
    ) -> Record | None:
        method = subject.method if ratio else DENSE
        if suite != "latency":  # threads change no score
            device = self._with_threads.get(device, device)
        where = (backend, device, batch_size)
        return self._by_address.get((suite, *subject.network, method, ratio, *where))

    def _address(self, record: Record) -> tuple[object, ...]:
        subject = self.subject_of(record)
        where = (_backend(record), self._device_of(record), record.get("batch_size", 0))
        return (record["suite"], *subject.network, subject.method, record.get("ratio"), *where)

    def _device_of(self, record: Record) -> str:
        device = str(record.get("device", ""))
        named = _in_words(device, record)
        return named if record["suite"] == "latency" and named in self._with_threads else device


def _in_words(device: str, record: Record) -> str:
    threads = record.get("threads")
    return f"{device}, {threads} thread{'s' if threads != 1 else ''}"


def _devices_of_several_threads(records: Sequence[Record]) -> dict[str, str]:
    """Return each device with its number of threads in words, where there are several → the device alone."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if record["suite"] == "latency" and "device" in record:
            found.setdefault(record["device"], {})[_in_words(record["device"], record)] = None
    return {named: device for device, all_of in found.items() if len(all_of) > 1 for named in all_of}


def _backend(record: Record) -> BackendPrecision:
    return str(record.get("backend", "")), str(record.get("precision", ""))

"""What a table is about, and what is scored of each network of a run."""

from collections.abc import Iterable
from dataclasses import dataclass

from pruning_core.records.fields import Record
from pruning_core.records.score import ACCURACY, Measure, measure_of

Network = tuple[str, str, Measure]
"""Dataset, model, and what is scored of it."""


@dataclass(frozen=True)
class Subject:
    """What one table is about; the dense model belongs to the subject of every method."""

    dataset: str
    model: str
    method: str
    measure: Measure = ACCURACY

    @property
    def network(self) -> Network:
        """The network, whatever the method."""
        return self.dataset, self.model, self.measure

    @property
    def network_title(self) -> str:
        """The network, what it was trained on, and what is scored where that is no accuracy."""
        return f"{self.model} on {self.dataset}{self.measure.brackets}"

    @property
    def title(self) -> str:
        """What it is, as titles say it."""
        return f"{self.network_title}, {self.method}"


class Measures:
    """What is scored of each network of a run: several things, where it was trained for several tasks."""

    def __init__(self, records: Iterable[tuple[str, Record]]) -> None:
        """Collect the measures of `records`, each with the name of its dataset."""
        self._of_network: dict[tuple[str, str], dict[Measure, None]] = {}
        self._of_key: dict[object, Measure] = {}
        for dataset, record in records:
            if measure := measure_of(record):
                self._of_network.setdefault((dataset, str(record.get("model", ""))), {})[measure] = None
                self._of_key[record.get("key")] = measure

    def of(self, dataset: str, record: Record) -> Measure:
        """Return what is scored in a record; of one without a score, such as a cost, what its network is."""
        found = measure_of(record)
        if found:
            return found
        kinds = self._of_network.get((dataset, str(record.get("model", ""))), {ACCURACY: None})
        of_key = self._of_key.get(record.get("key"))
        return of_key if of_key in kinds else next(iter(kinds))

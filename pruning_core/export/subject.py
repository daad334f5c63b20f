"""What is to be exported, as people name it: a key, a cell of a results file, or a checkpoint's folder."""

import re
from dataclasses import dataclass
from pathlib import Path

from pruning_core.config.stages import stage_words
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError, StoreError, UnknownNameError
from pruning_core.records.fields import Record
from pruning_core.records.run import read_run
from pruning_core.store import Store
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.store.lookup import find_key, looks_like_key
from pruning_core.store.reading import read_folder

SEPARATOR = "::"
"""Between a results file and a cell in it, as pytest writes it between a file and a test."""

_MEASURED = ("accuracy", "latency")
"""Suites whose records say how well a cell predicts."""


@dataclass(frozen=True)
class Subject:
    """A checkpoint, and the record of the cell that it was named by."""

    checkpoint: Checkpoint
    record: Record | None

    @property
    def name(self) -> str:
        """What it is, in a line: the cell, or network, dataset and ratio."""
        if self.record is not None:
            return str(self.record["cell"])
        spec = self.checkpoint.spec
        stage = re.sub("[, ]+", "-", stage_words(spec))
        return f"{spec.model.name}-{spec.dataset.name}-{stage}"

    @property
    def precision(self) -> str | None:
        """The precision that it was measured in; None where it was not."""
        return None if self.record is None else self.record.get("precision")

    @property
    def batch_size(self) -> int | None:
        """The batch size that it was measured with; None where it was not."""
        return None if self.record is None else self.record.get("batch_size")


def find_subject(what: str, cell: str | None, ratio: float | None, root: Path) -> Subject:
    """Find what a user names.

    Args:
        what: A key or its beginning; `results.json`, or `results.json::CELL`; a checkpoint's folder.
        cell: A cell of the results file.
        ratio: Chooses among the checkpoints of the results file.
        root: The store, for keys and cells.

    Raises:
        OptionError: If it is none of these, or names nothing, or several things.
        RecordError: If the results file cannot be read.
        StoreError: If the checkpoint is not in the store, or damaged.
    """
    file, separator, inner = what.partition(SEPARATOR)
    path = Path(what)
    if path.is_dir():
        _refuse_choice(cell, ratio, "a folder is one checkpoint")
        return Subject(_load_folder(path), None)
    if separator or path.is_file():
        if separator and cell is not None:
            raise OptionError(f"two cells are named: {shown(inner)} and --cell {shown(cell)}; name one")
        if not Path(file).is_file():
            raise OptionError(f"no file {file}: name the JSON file of a run, before {SEPARATOR}")
        records = read_run(Path(file)).records
        record = _choose(records, inner if separator else cell, ratio, file)
        return Subject(_of_record(record, root), record if cell or separator else None)
    if not looks_like_key(what):
        raise OptionError(
            f"{shown(what)} is no key (32 hexadecimal digits, or the first 6 or more), no file and no folder "
            f"of a checkpoint; a cell is named FILE{SEPARATOR}CELL"
        )
    _refuse_choice(cell, ratio, "a key is one checkpoint")
    store = _open(root)
    return Subject(store.load(find_key(store, what)), None)


def _refuse_choice(cell: str | None, ratio: float | None, why: str) -> None:
    for option, value in (("--cell", cell), ("--ratio", ratio)):
        if value is not None:
            raise OptionError(f"{option} chooses in the results file of a run; {why}")


def _choose(records: tuple[Record, ...], cell: str | None, ratio: float | None, file: str) -> Record:
    """Return the record of a cell, else one of the only checkpoint of a ratio."""
    if cell is not None:
        found = [record for record in records if record["cell"] == cell]
        if not found:
            raise UnknownNameError("cell", cell, {record["cell"] for record in records}, f"in {file}")
        if ratio is not None and found[0].get("ratio") != ratio:
            raise OptionError(
                f"cell {cell} is of ratio {found[0].get('ratio')}, not {ratio:g}: leave --ratio out"
            )
        # The one that says how well it predicts, where one does.
        return next((record for record in found if record["suite"] in _MEASURED), found[0])
    if ratio is None:
        raise OptionError(
            f"{file} holds {len(records)} records: name a cell with --cell, or a ratio with --ratio"
        )
    of_ratio = [record for record in records if record.get("ratio") == ratio and "key" in record]
    if not of_ratio:
        known = sorted({record["ratio"] for record in records if "ratio" in record})
        raise OptionError(f"--ratio: {file} holds {', '.join(f'{r:g}' for r in known)}; got {ratio:g}")
    keys = {record["key"] for record in of_ratio}
    if len(keys) > 1:
        cells = list(dict.fromkeys(record["cell"] for record in of_ratio))
        raise OptionError(
            f"{file} holds {len(keys)} checkpoints of ratio {ratio:g}: name one of their cells with --cell, "
            f"such as {', '.join(cells[:3])}"
        )
    return of_ratio[0]


def _of_record(record: Record, root: Path) -> Checkpoint:
    if "key" not in record:
        raise OptionError(f"cell {record['cell']} names no checkpoint: its record has no key")
    store, key = _open(root), record["key"]
    if not store.has(key):
        raise StoreError(
            f"checkpoint {key} of cell {record['cell']} is not in the store {root}: name the store that the "
            "run used with --store, or make it again with `pruning-bench prepare`"
        )
    return store.load(key)


def _open(root: Path) -> Store:
    if not root.is_dir():
        raise StoreError(
            f"no store at {root}. Name one with --store, or make one with `pruning-bench prepare`"
        )
    return Store.open_existing(root)


def _load_folder(path: Path) -> Checkpoint:
    if not (path / "spec.json").is_file():
        raise OptionError(f"{path} is no folder of a checkpoint: it has no spec.json")
    return read_folder(path.absolute())

"""A table as plain data: exact numbers, no rounding, no layout; and the report, which is several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pruning_core.records.fields import Record
from pruning_core.records.score import Measure
from pruning_core.report.cells import flat_cells
from pruning_core.report.estimate import Estimate
from pruning_core.report.glossary import MEANINGS
from pruning_core.report.number_format import number_text
from pruning_core.report.run_index import RunIndex

Value = float | int | str | Estimate | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Column:
    """One column: where its values stand in a row, its heading, and what kind of number it holds."""

    id: str
    header: str
    kind: str  # a key of `number_format.FORMATS`
    fixed: bool = False  # names the row: repeated where a table is too wide for one page
    group: str = ""  # neighbours of one group stay on one page; begins the heading
    explanation: str = ""  # where it is not that of the glossary

    @property
    def word(self) -> str:
        """The heading without its group: `ms` of `b32 ms`."""
        return self.header.removeprefix(f"{self.group} ") if self.group else self.header

    @property
    def meaning(self) -> str:
        """What the heading means, in words."""
        return self.explanation or MEANINGS.get(self.word, "")


@dataclass(frozen=True)
class Table:
    """Rows under columns, with what a reader must know below them."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def legend(self) -> dict[str, str]:
        """Return heading → what it means, each once."""
        return {column.word: column.meaning for column in self.columns if column.meaning}


@dataclass(frozen=True)
class Report:
    """Everything that a rendering shows."""

    indexes: tuple[RunIndex, ...]
    tables: tuple[Table, ...]

    @property
    def files(self) -> list[RunIndex]:
        """One index for each file: one of several seeds has several."""
        return list({index.file: index for index in reversed(self.indexes)}.values())[::-1]

    def cells(self) -> Iterator[dict[str, object]]:
        """Walk over all records, each with every field and where it came from."""
        for index in self.indexes:
            yield from flat_cells(index)


RATIO = Column("ratio", "ratio", "ratio", fixed=True)
BACKEND = Column("backend", "backend", "text", fixed=True)


def score_column(measure: Measure, id: str = "") -> Column:
    """Return the column of a score: in percent for an accuracy, with an arrow and in words for others.

    Args:
        measure: What is scored.
        id: Where the values stand in a row; by default `accuracy` or `score`.
    """
    if measure.is_accuracy:
        return Column(id or "accuracy", measure.heading, "percent")
    meaning = f"of all test examples; {measure.direction} [95 % interval, where the task gives one]"
    return Column(id or "score", measure.heading, "score", explanation=meaning)


def pruned_score_column(measure: Measure) -> Column:
    """Return the column of a score right after pruning."""
    if measure.is_accuracy:
        return Column("accuracy_pruned", "accuracy before fine-tuning %", "percent")
    header = f"{measure.name} before fine-tuning {measure.arrow}"
    return Column("score_pruned", header, "score", explanation="right after pruning")


def agreement_column(measure: Measure) -> Column:
    """Return the column of how much a cell answers as eager fp32 does, which each task defines."""
    meaning = "" if measure.is_accuracy else "with eager fp32 of the same checkpoint, as the task defines it"
    return Column("agreement", "agreement %", "percent", explanation=meaning)


def texts_of(row: Row, column: Column) -> tuple[str, str]:
    """Print a value of a row: the number with the row's flags, and its interval; empty if it has none."""
    number, interval = number_text(row.get(column.id), column.kind)
    if column.id == "ratio" and row.get("flags"):
        number = f"{number} {row['flags']}"
    return number, interval


def legend_text(meanings: dict[str, str]) -> str:
    """Return a legend in one line."""
    return "; ".join(f"{word}: {meaning}" for word, meaning in meanings.items())


def drop_empty_columns(columns: Iterable[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns that name a row, or hold something in one."""
    return tuple(c for c in columns if c.fixed or any(row.get(c.id) is not None for row in rows))


def flags_of(records: Iterable[Record]) -> str:
    """Return a sign for each thing that a reader of these records must know; `warnings_of` says what."""
    flags = {"†" for r in records if r.get("exhausted")} | {"✗" for r in records if r["status"] == "failed"}
    flags |= {"~" for r in records if r.get("contaminated")}
    return "".join(sorted(flags))


def failure_of(record: Record) -> str:
    """Say that a cell failed, and why; nothing of another one."""
    if record["status"] != "failed":
        return ""
    why = " ".join(str(record.get("failure") or "no reason given").split())
    return f"✗ failed: {record['suite']}/{record['cell']}: {why}"


def warnings_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Say in words what a reader of these records must know."""
    records = list(records)
    lines = [line for r in records if (line := failure_of(r))]
    if any(r.get("contaminated") for r in records):
        lines.append(
            "~ contaminated: the A/A control of this run left its tolerance, or the machine was disturbed; "
            "these times are not to be trusted"
        )
        reasons = dict.fromkeys(r["contention"] for r in records if r.get("contention"))
        lines += [f"~ while timing: {reason}" for reason in reasons]
    if any(r.get("exhausted") for r in records):
        lines.append("† exhausted: this step removed nothing that the one before had not")
    return tuple(lines)

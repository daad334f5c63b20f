"""The table of training steps: how fast this machine trains, beside a loop as tutorials write it."""

from collections.abc import Iterator

from pruning_core.report.run_index import RunIndex
from pruning_core.report.tables import Column, Row, Table, estimate_of, marks_of, warnings_of

_COLUMNS = (
    Column("model", "model", "text", fixed=True),
    Column("dataset", "dataset", "text"),
    Column("device", "device", "text"),
    Column("train_precision", "precision", "text"),
    Column("batch_size", "batch", "count"),
    Column("images_per_s", "images/s", "rate"),
    Column("reference_images_per_s", "plain images/s", "rate"),
    Column("speedup", "speed-up", "factor"),
    Column("roofline_fraction", "roof", "share"),
    Column("data_share", "fetching %", "percent"),
)


def training_tables(index: RunIndex) -> Iterator[Table]:
    """Make the table of a run's training steps, if it has any."""
    if not index.training:
        return
    rows: list[Row] = []
    for record in index.training:
        names = [column.id for column in _COLUMNS if column.id != "speedup"]
        row: Row = {name: record.get(name) for name in names}
        row["dataset"] = index.dataset_of(record)
        row["model"] = f"{record['model']} {marks_of([record])}".strip()
        row["key"] = record.get("key")
        row["speedup"] = estimate_of(record, "speedup", "speedup_low", "speedup_high")
        rows.append(row)
    notes = (
        "plain: DataLoader, image by image, float32, contiguous, as tutorials write it; timed in pairs. "
        "roof: arithmetic of a step in percent of this machine's fastest matrix product. fetching: share of "
        "a step in which its images are fetched.",
        index.facts(),
    )
    title = f"training steps: {index.name}"
    yield Table(title, _COLUMNS, tuple(rows), warnings_of(index.training), notes)

"""The table of training steps: how fast this machine trains, beside a baseline loop."""

from collections.abc import Iterator

from pruning_core.report.estimate import estimate_of
from pruning_core.report.run_index import RunIndex
from pruning_core.report.table import Column, Row, Table, flags_of, warnings_of

_COLUMNS = (
    Column("model", "model", "text", fixed=True),
    Column("dataset", "dataset", "text"),
    Column("device", "device", "text", explanation="what it was trained on"),
    Column("train_precision", "precision", "text"),
    Column("batch_size", "batch", "count", explanation="images in one step"),
    Column("images_per_s", "images/s", "rate"),
    Column(
        "reference_images_per_s",
        "baseline images/s",
        "rate",
        explanation="of a loop as tutorials write it: DataLoader, image by image, float32, contiguous",
    ),
    Column("speedup", "speed-up", "factor", explanation="over the baseline loop, timed in pairs [interval]"),
    Column(
        "roofline_fraction",
        "roofline %",
        "share",
        explanation="arithmetic of a step, in percent of this machine's fastest matrix product",
    ),
    Column("data_share", "data loading %", "percent", explanation="share of a step that loads its images"),
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
        row["model"] = f"{record['model']} {flags_of([record])}".strip()
        row["key"] = record.get("key")
        row["speedup"] = estimate_of(record, "speedup", "speedup_low", "speedup_high")
        rows.append(row)
    title = f"training steps: {index.name}"
    yield Table(title, _COLUMNS, tuple(rows), warnings_of(index.training), (index.provenance(),))

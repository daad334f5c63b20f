"""CSV: a row a cell, none lost, each with every field."""

import csv
import io
import json
from pathlib import Path

import pytest

from pruning_core.records.fields import FIELDS, SCORE_FIELDS
from pruning_core.report.build import build_report
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.reports import report_on, runs


def test_csv_has_one_row_for_each_cell(tmp_path: Path) -> None:
    """A row holds what the records of its cell say, exactly; no column is empty."""
    report = build_report(runs(tmp_path))
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    cells = list(report.cells())
    timed = [cell for cell in cells if cell["suite"] == "latency"]
    assert [row["cell"] for row in rows] == [cell["cell"] for cell in timed]
    for cell, row in zip(timed, rows, strict=True):
        what = [cell[name] for name in ("file", "ratio", "backend", "precision")]
        (cost,) = (c for c in cells if c["suite"] == "cost" and [c["file"], c["ratio"]] == what[:2])
        (accuracy,) = (
            c
            for c in cells
            if c["suite"] == "accuracy" and [c["file"], c["ratio"], c["backend"], c["precision"]] == what
        )
        expected = {}
        for record in (cost, accuracy, cell):
            expected |= {name: value for name, value in record.items() if value is not None}
        expected["suite"] = "latency accuracy cost"
        for name, value in expected.items():
            text = json.dumps(value) if isinstance(value, bool | list | dict) else str(value)
            assert row.get(name, "") == text, name
    for name in rows[0]:
        assert any(row[name] for row in rows), name


@pytest.mark.parametrize(
    ("suites", "kinds"),
    [
        (("cost",), {"cost"}),
        (("cost", "accuracy"), {"accuracy cost"}),
        (("cost", "latency"), {"latency cost"}),
    ],
)
def test_csv_loses_no_record(tmp_path: Path, suites: tuple[str, ...], kinds: set[str]) -> None:
    """What was not timed, or not scored, has a row of its own with all that is known of it."""
    rows = csv.DictReader(
        io.StringIO(render(report_on(factory.make_content(suites=suites), tmp_path), "csv"))
    )
    assert {row["suite"] for row in rows} == kinds


def test_csv_names_a_failure_of_any_suite(tmp_path: Path) -> None:
    """A cell whose accuracy failed has failed, and says why, though its times are sound."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",), batch_sizes=(1,))
    failed = ("accuracy", "resnet18-digits-magnitude-0.5-eager-fp32-cpu")
    factory.find(content, failed).update(status="failed", failure="too low")
    dense, pruned = csv.DictReader(io.StringIO(render(report_on(content, tmp_path), "csv")))
    assert (dense["status"], dense["failure"]) == ("ok", "")
    assert (pruned["status"], pruned["failure"]) == ("failed", "too low")


def test_programs_get_every_field_exactly(tmp_path: Path) -> None:
    """JSON carries each field of each record as it was read, with machine, file and total speed-up."""
    read = runs(tmp_path)
    cells = json.loads(render(build_report(read), "json"))["cells"]
    records = [record for run in read for record in run.records]
    assert len(cells) == len(records)
    for cell, record in zip(cells, records, strict=True):
        assert {name: value for name, value in cell.items() if name in record} == record
        assert {field.name for field in FIELDS} - cell.keys() == SCORE_FIELDS
    assert {c["machine_fingerprint"] for c in cells} == {str(run.machine["fingerprint"]) for run in read}
    assert {c["torch"] for c in cells} == {"2.13.0"}

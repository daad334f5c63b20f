"""Which tables there are, what they mark, and what they do where records lack something."""

from pathlib import Path

import pytest

from pruning_core.report.build import build_report
from pruning_core.report.tutorial_table import tutorial_tables
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.made_up_records import MACS
from tests.helpers.reports import report_on


def test_efficiency_has_a_table(tmp_path: Path) -> None:
    """Beside each backend stand the MACs saved, how much of that came out as time, and the roofline."""
    report = report_on(factory.make_content(ratios=(0.5,)), tmp_path)
    (table,) = [t for t in report.tables if t.title.startswith("efficiency")]
    dense, pruned = table.rows[0], table.rows[4]
    assert (dense["ratio"], dense["mac_reduction"], dense["mac_efficiency_b1"]) == (0.0, None, None)
    assert pruned["mac_reduction"] == pytest.approx(MACS[0.0] / MACS[0.5])
    assert pruned["mac_efficiency_b32"] == pytest.approx(
        1 / (1 - 0.95 * 0.5) / pruned["mac_reduction"], rel=0.01
    )
    assert {row["launch_bound_b1"] for row in table.rows} == {"no"}
    assert any("bf16 200 GFLOP/s, 20 GB/s; fp32 200 GFLOP/s" in note for note in table.notes)


def test_contention_is_said(tmp_path: Path) -> None:
    """Above a table with a contaminated cell stands what disturbed the machine, once."""
    content = factory.make_content(ratios=(0.5,))
    for entry in content["benchmarks"][-2:]:
        entry["extra_info"].update(contaminated=True, contention="other processes used 38 % of the cores")
    table = report_on(content, tmp_path).tables[0]
    assert table.warnings.count("~ while timing: other processes used 38 % of the cores") == 1


def test_only_dense_still_has_a_table(tmp_path: Path) -> None:
    """A run without pruned cells is shown, and one backend alone has no second table."""
    content = factory.make_content(ratios=(), backends=("eager:fp32",))
    table, reasons = report_on(content, tmp_path).tables
    assert reasons.title.startswith("efficiency")
    assert [row["ratio"] for row in table.rows] == [0.0]
    assert "speedup_b1" not in {column.id for column in table.columns}


@pytest.mark.parametrize("suite", ["cost", "accuracy", "latency"])
def test_one_suite_alone_has_a_table(tmp_path: Path, suite: str) -> None:
    """A file of one suite gives its columns, without empty ones."""
    table = report_on(factory.make_content(suites=(suite,)), tmp_path).tables[0]
    ids = {column.id for column in table.columns}
    assert ("macs" in ids) == (suite == "cost")
    assert ("accuracy" in ids) == (suite != "cost")
    assert ("latency_ms_b32" in ids) == (suite == "latency")


@pytest.mark.parametrize("format", ["auto", "tutorial"])
def test_macs_that_torch_pruning_counts_otherwise_have_a_column(tmp_path: Path, format: str) -> None:
    """Both counts are shown where they differ in any row; where they agree one is enough."""
    content = factory.make_content(ratios=(0.5,), suites=("cost",))
    for record in factory.records_of(content, "cost"):
        record |= {"macs_products": record["macs"], "macs_torch_pruning": record["macs"] - 1}
    for wrong in (False, True):
        if wrong:
            factory.find(content, ("cost", "resnet18-digits-magnitude-0.5"))["macs_torch_pruning"] = 7
        report = report_on(content, tmp_path)
        tables = report.tables if format == "auto" else tuple(tutorial_tables(report.indexes[0], {}))
        assert ("macs_torch_pruning" in {column.id for column in tables[0].columns}) == wrong
    assert [row["macs_torch_pruning"] for row in tables[0].rows] == [MACS[0.0] - 1, 7]


def test_costs_are_found_in_another_file_by_key(tmp_path: Path) -> None:
    """Where a file has no cost suite, a checkpoint's cost comes from the file that has its key."""
    contents = [factory.make_content(suites=("latency",)), factory.make_content(suites=("cost",))]
    found = [factory.as_run(c, tmp_path, f"{i}.json") for i, c in enumerate(contents)]
    assert [row["macs"] for row in build_report(found).tables[0].rows] == [
        MACS[ratio] for ratio in (0.0, 0.25, 0.5, 0.75)
    ]


def test_failed_exhausted_and_contaminated_are_marked(tmp_path: Path) -> None:
    """Flags stand at the row and their reasons above the table, in every format for people."""
    content = factory.make_content()
    factory.find(content, ("cost", "resnet18-digits-magnitude-0.75"))["exhausted"] = True
    failed = ("accuracy", "resnet18-digits-magnitude-0.5-eager-fp32-cpu")
    factory.find(content, failed).update(status="failed", failure="below\nthe floor")
    for record in factory.records_of(content, "latency"):
        record["contaminated"] = True
    report = report_on(content, tmp_path)
    assert [row["flags"] for row in report.tables[0].rows] == ["~", "~", "~✗", "~†"]
    for format in ("terminal", "markdown"):
        text = " ".join(render(report, format).replace("\\", "").split())
        assert "✗ failed: accuracy/resnet18-digits-magnitude-0.5-eager-fp32-cpu: below the floor" in text
        assert "~ contaminated" in text
        assert "† exhausted" in text
        assert "0.50 ~✗" in text


def test_records_with_few_fields_are_shown(tmp_path: Path) -> None:
    """A record that holds next to nothing, as a failed cell may, neither fails nor hides the others."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",))
    for entry in content["benchmarks"][1::2]:
        info = entry["extra_info"]
        keep = ("schema_version", "suite", "cell", "model", "dataset", "method", "ratio")
        entry["extra_info"] = {name: info[name] for name in keep} | {"status": "failed", "failure": "x"}
    report = report_on(content, tmp_path)
    for format in ("terminal", "markdown", "csv", "json"):
        assert "resnet18" in render(report, format)
    assert len(list(report.cells())) == len(content["benchmarks"])

"""Scores of other tasks in the report: under their name, in their direction, never mixed with others."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import number_text
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.made_up_scores import ERROR, IOU, score_content, two_tasks
from tests.helpers.reports import markdown_tables, report_on

SMALL: dict[str, Any] = {"ratios": (0.5,), "backends": ("eager:fp32", "onnxruntime:fp32")}
BOTH = pytest.mark.parametrize(
    ("task", "arrow"), [(IOU, "↑"), (ERROR, "↓")], ids=["higher is better", "lower is better"]
)


def same_network() -> dict[str, Any]:
    """Return a file in which one network was trained as a classification and for another task."""
    content = factory.make_content(**SMALL)
    other = score_content(ERROR, **SMALL)
    for entry in other["benchmarks"]:
        record = entry["extra_info"]
        record["key"] = record["key"][::-1]
        for name in {"cell", "reference"} & record.keys():
            record[name] += "-error"
    return {**content, "benchmarks": [*content["benchmarks"], *other["benchmarks"]]}


@BOTH
def test_tables_say_the_name_and_the_direction(tmp_path: Path, task: tuple[str, str], arrow: str) -> None:
    """Titles and headings name the score, an arrow and the legend say which values are better."""
    report = report_on(score_content(task, **SMALL), tmp_path)
    assert report.tables[0].title.startswith(f"resnet18 on digits ({task[0]} {arrow}), magnitude, cpu")
    main, backends, *_ = markdown_tables(render(report, "markdown"))
    head, before = f"{task[0]} {arrow}", f"{task[0]} before fine-tuning {arrow}"
    dense, pruned = ("0.3278", "0.3333") if arrow == "↓" else ("0.7222", "0.7167")
    assert [row[head].split()[0] for row in main] == [dense, pruned]
    assert [row[before] for row in main] == ["–", "0.5000" if arrow == "↓" else "0.5500"]
    assert len([row for row in backends if row[head].startswith(dense)]) == 2
    for form in ("markdown", "terminal", "html"):
        text = " ".join(render(report, form).split())
        assert f"{task[1]} is better" in text
        assert "200 test examples" in text
        tables = text.partition("<script")[0]
        assert "accuracy" not in tables.lower()
        assert "Wilson" not in tables


def test_csv_and_json_have_the_fields_of_the_task(tmp_path: Path) -> None:
    """Programs get every field of a score, and of a classification none of another task."""
    report = report_on(score_content(ERROR, **SMALL), tmp_path)
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    assert {row["score_name"] for row in rows} == {"mean absolute error"}
    assert {row["score_better"] for row in rows} == {"lower"}
    assert not [name for name in rows[0] if "accuracy" in name]
    cells = json.loads(render(report, "json"))["cells"]
    records = report.indexes[0].run.records
    assert [cell["score"] for cell in cells] == [record.get("score") for record in records]
    plain = json.loads(render(report_on(factory.make_content(**SMALL), tmp_path), "json"))
    assert not [name for cell in plain["cells"] for name in cell if "score" in name]


def test_without_intervals_there_is_none(tmp_path: Path) -> None:
    """A task without values per example has numbers alone, in tables and figure."""
    path = factory.write(score_content(IOU, bounded=False, **SMALL), tmp_path / "run.json")
    write_report([path], "svg", tmp_path / "out.svg")
    report = report_on(score_content(IOU, bounded=False, **SMALL), tmp_path)
    main, *_ = markdown_tables(render(report, "markdown"))
    assert [row["mean IoU ↑"] for row in main] == ["0.7222", "0.7167"]
    assert "mean IoU intervals" not in render(report, "markdown")


@pytest.mark.parametrize("content", [two_tasks(factory.make_content(**SMALL), score_content(ERROR, **SMALL))])
def test_tasks_of_several_networks_have_tables_of_their_own(tmp_path: Path, content: dict[str, Any]) -> None:
    """A classification beside another task keeps its own table, as it is without that."""
    text = render(report_on(content, tmp_path), "markdown")
    alone = render(report_on(factory.make_content(**SMALL), tmp_path), "markdown")
    assert text.startswith(alone.rstrip("\n"))
    assert "### unet on shapes (mean absolute error ↓), magnitude" in text


def test_two_tasks_of_one_network_are_never_mixed(tmp_path: Path) -> None:
    """One network trained for two tasks has tables of its own for each, its costs too."""
    report = report_on(same_network(), tmp_path)
    titles = [table.title.partition(":")[0] for table in report.tables]
    both = [title for title in titles if title.startswith("resnet18")]
    assert both == [f"resnet18 on digits{what}, magnitude, cpu" for what in ("", " (mean absolute error ↓)")]
    first, _, _, second, *_ = report.tables
    assert [row["macs"] for row in first.rows] == [row["macs"] for row in second.rows]
    assert [row["key"][:4] for row in first.rows] != [row["key"][:4] for row in second.rows]  # type: ignore[index]
    assert {"accuracy", "accuracy_pruned"} <= {column.id for column in first.columns}
    assert {"score", "score_pruned"} <= {column.id for column in second.columns}
    alone = report_on(factory.make_content(**SMALL), tmp_path)
    assert [table.rows for table in report.tables[:3]] == [table.rows for table in alone.tables[:3]]


@BOTH
def test_seeds_of_one_score_are_averaged_and_others_are_not(
    tmp_path: Path, task: tuple[str, str], arrow: str
) -> None:
    """The spread over seeds is of one score; of the seeds the best is lowest or highest, as it should be."""
    runs = []
    for seed in (0, 1):
        for what in (score_content(task, **SMALL), factory.make_content(**SMALL)):
            for entry in what["benchmarks"]:
                record = entry["extra_info"]
                record["seed"] = seed
                if "score" in record and "score_dense" not in record:
                    record["score"] += 0.01 * seed
                elif "score" in record:
                    for name in [n for n in record if re.fullmatch("score(_dense|_low|_high)?", n)]:
                        record[name] += 0.01 * seed
            runs.append(factory.as_run(what, tmp_path, f"{len(runs)}.json"))
    tables = [table for table in build_report(runs).tables if table.title.startswith("over seeds")]
    assert [table.title for table in tables] == [
        f"over seeds: resnet18 on digits ({task[0]} {arrow}), magnitude",
        "over seeds: resnet18 on digits, magnitude",
    ]
    row = tables[0].rows[0]
    value = 0.3278 if arrow == "↓" else 0.7222
    assert row["mean"] == pytest.approx(value + 0.005, abs=1e-4)
    assert (row["lowest"], row["highest"]) == pytest.approx((value, value + 0.01), abs=1e-4)
    meaning = {column.id: column.meaning for column in tables[0].columns}
    assert ("best" in meaning["lowest"], "best" in meaning["highest"]) == (arrow == "↓", arrow == "↑")
    assert "test examples" in tables[0].notes[0]
    assert tables[1].rows[0]["deviation"] == 0


@BOTH
def test_the_figure_says_the_good_side(tmp_path: Path, task: tuple[str, str], arrow: str) -> None:
    """The axis of the figure names the score and which values are better; a classification's is as ever."""
    drawn = {}
    for name, content in (("task", score_content(task, **SMALL)), ("plain", factory.make_content(**SMALL))):
        path = factory.write(content, tmp_path / f"{name}.json")
        write_report([path], "svg", tmp_path / f"{name}.svg")
        drawn[name] = set(re.findall("<!-- (.*?) -->", (tmp_path / f"{name}.svg").read_text()))
    assert f"{task[0]} ({task[1]} is better)" in drawn["task"]
    assert f"{task[0][0].upper()}{task[0][1:]} and latency" in drawn["task"]
    assert {"accuracy", "Accuracy and latency"} <= drawn["plain"]
    assert not [text for text in drawn["task"] if "%" in text or "ccuracy" in text]


@pytest.mark.parametrize(
    "name", ["$\\frac{$", "<b>IoU</b>", "a|b", "日本語", "x" * 60, "=1+1", "accuracy", "ms"]
)
def test_any_name_of_a_score_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    """Signs that mean something in a format, and names of our own columns, are shown as text."""
    path = factory.write(score_content((name, "lower"), **SMALL), tmp_path / "run.json")
    for form in ("markdown", "csv", "json", "html", "svg", "terminal"):
        write_report([path], form, tmp_path / f"out.{form}")
    assert "<b>" not in (tmp_path / "out.html").read_text()
    columns = json.loads((tmp_path / "out.json").read_text())["tables"][0]["columns"]
    assert [c["head"] for c in columns if c["kind"] == "score"] == [
        f"{name} before fine-tuning ↓",
        f"{name} ↓",
    ]


def test_a_page_without_points_says_the_score_too(tmp_path: Path) -> None:
    """Where nothing was timed, the page is called after the score that its tables hold."""
    page = render(report_on(score_content(IOU, **SMALL, suites=("accuracy",)), tmp_path), "html")
    assert "<h2>Mean IoU, speed and size" in page
    plain = render(report_on(factory.make_content(**SMALL, suites=("cost",)), tmp_path), "html")
    assert "<h2>Accuracy, speed and size" in plain


@pytest.mark.parametrize(
    ("estimate", "texts"),
    [
        (Estimate(0.7312, 0.7101, 0.7523), ("0.7312", "0.7101–0.7523")),
        (Estimate(-0.5, -0.75, -0.25), ("-0.5000", "-0.7500 to -0.2500")),
        (Estimate(1234.5, 1200.25, 1250.0), ("1,234", "1,200–1,250")),
        (Estimate(2.0), ("2.000", "")),
        (None, ("–", "")),
    ],
)
def test_a_score_and_its_bounds_have_the_same_decimals(
    estimate: Estimate | None, texts: tuple[str, str]
) -> None:
    """Bounds have the decimals of their score; negative ones are told apart by a word."""
    assert number_text(estimate, "score") == texts

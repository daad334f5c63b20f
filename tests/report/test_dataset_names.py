"""What a report calls its datasets: one name for one content, within a file and over several."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from pruning_core.errors import OptionError
from pruning_core.records.run import Run
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.table import Report
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory

Datasets = list[tuple[str, str]]


def make_run(folder: Path, name: str, datasets: Datasets) -> Run:
    """Write a run in which every cell stands once for each dataset, given as name and fingerprint."""
    entries = []
    for dataset, fingerprint in datasets:
        content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",), batch_sizes=(1,))
        for entry in content["benchmarks"]:
            record = entry["extra_info"]
            for field in ("cell", "reference"):
                if field in record:
                    record[field] = f"{dataset}-{fingerprint}-{record[field]}"
            record.update(dataset=dataset, dataset_fingerprint=fingerprint)
            entries.append(entry)
    return factory.as_run({**content, "benchmarks": entries}, folder, f"{name}.json")


def titles_of(report: Report, start: str = "resnet18 on ") -> list[str]:
    """Return the names of the datasets in the titles of main tables."""
    return [
        table.title.removeprefix(start).partition(",")[0]
        for table in report.tables
        if table.title.startswith(start)
    ]


@pytest.mark.parametrize(
    ("datasets", "names"),
    [
        ([("folder-a", "aa"), ("folder-b", "bb")], ["folder-a", "folder-b"]),
        ([("folder-a", "aa"), ("folder-a-2", "aa")], ["folder-a", "folder-a-2"]),  # a copy
        # As files of earlier versions say it:
        ([("folder", "aa11223344"), ("folder", "bb11223344")], ["folder (aa112233)", "folder (bb112233)"]),
        ([("digits", "aa"), ("digits", "")], ["digits"]),
    ],
)
def test_each_dataset_of_a_file_has_tables_of_its_own(
    tmp_path: Path, datasets: Datasets, names: list[str]
) -> None:
    """No dataset is dropped or mixed with another, whatever they are called."""
    report = build_report([make_run(tmp_path, "a", datasets)])
    assert titles_of(report) == names
    for table in report.tables:
        assert len(table.rows) == 2


@pytest.mark.parametrize(
    ("first", "second", "beside", "names"),
    [
        ([("folder-a", "aa")], [("folder-b", "aa")], ["folder-a"], ["folder-a", "folder-a"]),
        ([("folder", "aa")], [("folder-b", "aa")], ["folder-b"], ["folder-b", "folder-b"]),
        ([("folder-a", "aa")], [("folder-a", "bb")], [], ["folder-a (aa)", "folder-a (bb)"]),
        ([("folder", "aa")], [("folder", "bb")], [], ["folder (aa)", "folder (bb)"]),
        ([("digits", "aa")], [("digits", "bb")], [], ["digits (aa)", "digits (bb)"]),
        (
            [("folder-a", "aa"), ("folder-b", "aa")],
            [("folder-b", "aa")],
            ["folder-b"],
            ["folder-a", "folder-b", "folder-b"],
        ),
        ([("a:load", "aa")], [("b:load", "aa")], [], ["a:load", "b:load"]),
    ],
)
def test_runs_stand_side_by_side_where_the_content_is_one(
    tmp_path: Path, first: Datasets, second: Datasets, beside: list[str], names: list[str]
) -> None:
    """What a folder is called on a machine does not matter; what lies in it does."""
    report = build_report([make_run(tmp_path, "a", first), make_run(tmp_path, "b", second)])
    assert titles_of(report) == names
    assert titles_of(report, "side by side: resnet18 on ") == beside


def test_programs_get_the_names_in_the_records(tmp_path: Path) -> None:
    """CSV says what the file says: name and fingerprint, each in a column."""
    run = make_run(tmp_path, "a", [("folder", "aa"), ("folder", "bb")])
    rows = list(csv.DictReader(io.StringIO(render(build_report([run]), "csv"))))
    assert {(row["dataset"], row["dataset_fingerprint"]) for row in rows} == {
        ("folder", "aa"),
        ("folder", "bb"),
    }


@pytest.mark.parametrize(
    ("datasets", "titles", "expected"),
    [
        ([("folder-a", "aa")], {"folder": "Parts"}, ["Parts"]),
        ([("folder", "aa")], {"folder": "Parts"}, ["Parts"]),
        ([("folder-a", "aa"), ("digits", "dd")], {"folder": "Parts"}, ["Parts", "digits"]),
        ([("folder-a", "aa"), ("folder-b", "bb")], {"folder-a": "A", "folder-b": "B"}, ["A", "B"]),
        ([("folder-a", "aa"), ("folder-b", "bb")], {"folder-a": "A", "folder-b": "A"}, ["A (aa)", "A (bb)"]),
        ([("folder-a", "aa"), ("folder-b", "bb")], {"folder": "A"}, "give each its own: folder-a, folder-b"),
        ([("digits", "aa")], {"folder": "A"}, "no dataset 'folder' in these files; there: digits"),
    ],
)
def test_the_title_of_a_folder(
    tmp_path: Path, datasets: Datasets, titles: Mapping[str, str], expected: list[str] | str
) -> None:
    """`folder=TITLE` names the one folder of the files; of several, each needs a title of its own."""
    make_run(tmp_path, "a", datasets)
    output = tmp_path / "out.md"
    if isinstance(expected, str):
        with pytest.raises(OptionError, match=expected):
            write_report([tmp_path / "a.json"], "markdown", output, dataset_titles=titles)
        return
    write_report([tmp_path / "a.json"], "markdown", output, dataset_titles=titles)
    headings = [line for line in output.read_text().splitlines() if line.startswith("### resnet18 on ")]
    assert [heading.removeprefix("### resnet18 on ").partition(",")[0] for heading in headings] == expected


@pytest.mark.parametrize("commit", ["unversioned", "unknown"])
def test_no_commit_is_shown_where_there_is_none(tmp_path: Path, commit: str) -> None:
    """Outside of a repository nothing stands where the commit would."""
    content = factory.make_content()
    content["commit_info"]["id"] = commit
    run = factory.as_run(content, tmp_path)
    assert run.commit == ""
    for format in ("terminal", "markdown", "csv", "json", "html"):
        assert commit[:9] not in render(build_report([run]), format).replace("unknown machine", "")

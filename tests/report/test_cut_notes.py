"""What stands below a table where a cut is not exact, or a group kept its width."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.notes import MAX_CUT_NOTES
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.reports import report_on

NORM = "statistics change: layer norm"
SAID = "proved but for statistics over channels that change: layer norm."


def content_with(fields: dict[float, dict[str, Any]], suites: tuple[str, ...] = ("cost",)) -> dict[str, Any]:
    """Make a run whose pruned records of a ratio have further fields."""
    content = factory.make_content(ratios=(0.25, 0.5, 0.75), backends=("eager:fp32",), suites=suites)
    for suite in suites:
        for record in factory.records_of(content, suite):
            record.update(fields.get(record["ratio"], {}))
    return content


def cut_notes_in(content: dict[str, Any], folder: Path) -> list[str]:
    """Return the notes on cuts below the first table."""
    notes = report_on(content, folder).tables[0].notes
    return [note for note in notes if "proved" in note or "whole" in note]


def kept(reasons: dict[str, str], groups: int = 41) -> dict[str, Any]:
    """Return the fields of groups that kept their width."""
    return {"kept_whole": reasons, "groups_kept_whole": len(reasons), "groups": groups}


def test_the_ordinary_case_has_no_note(tmp_path: Path) -> None:
    """Exact cuts, masks and runs of earlier versions: nothing is said, and the columns are the same."""
    plain = report_on(content_with({}), tmp_path).tables[0]
    exact = report_on(content_with({r: {"proof": "exact"} for r in (0.25, 0.5, 0.75)}), tmp_path).tables[0]
    assert exact.notes == plain.notes
    assert exact.columns == plain.columns
    assert not cut_notes_in(content_with({}), tmp_path)


@pytest.mark.parametrize("suite", ["cost", "accuracy", "latency"])
def test_statistics_that_change_are_said_once(tmp_path: Path, suite: str) -> None:
    """The ratios that share a proof are named together, whichever suite ran."""
    fields = {0.25: {"proof": "exact"}, 0.5: {"proof": NORM}, 0.75: {"proof": NORM}}
    assert cut_notes_in(content_with(fields, (suite,)), tmp_path) == [f"0.5, 0.75: {SAID}"]


def test_groups_kept_whole_are_named_with_their_reasons(tmp_path: Path) -> None:
    """How many of how many, which, and why; the same at several ratios is said once."""
    fields = {
        0.25: kept({"conv1": "channels are reordered", "head": "off by 0.25"}),
        0.5: kept({"conv1": "channels are reordered", "head": "off by 0.5"}),
        0.75: {**kept({f"c{n}": "why" for n in range(40)}), "groups_kept_whole": 41},
    }
    assert cut_notes_in(content_with(fields), tmp_path) == [
        "0.25, 0.5: kept whole: 2 of 41 groups: conv1: channels are reordered; head: off by ….",
        "0.75: kept whole: 41 of 41 groups: c0, c1, c2, c3, c4 and 35 more: why; and 1 more group.",
    ]


def test_a_long_chain_is_cut_short(tmp_path: Path) -> None:
    """Where every ratio has something else to say, some notes stand there and the others are counted."""
    content = content_with({r: {**kept({f"c{r}": "x"}), "proof": f"{NORM} {r}"} for r in (0.25, 0.5, 0.75)})
    assert len(cut_notes_in(content, tmp_path)) == MAX_CUT_NOTES == 6
    (dense,) = [record for record in factory.records_of(content, "cost") if not record["ratio"]]
    dense.update(kept({"never": "a dense network has none"}), proof="exact")
    assert not any("never" in note for note in cut_notes_in(content, tmp_path))
    extra = json.loads(json.dumps(content["benchmarks"][-1]))
    extra["extra_info"].update(ratio=0.9, cell="further", **kept({"d": "y"}))
    content["benchmarks"].append(extra)
    notes = cut_notes_in(content, tmp_path)
    assert len(notes) == MAX_CUT_NOTES + 1
    assert "csv and json hold all" in notes[-1]


def test_every_format_tells(tmp_path: Path) -> None:
    """Terminal, Markdown and page have the note; CSV and JSON have the fields."""
    content = content_with({0.5: {"proof": NORM, **kept({"conv1": "it has 8"})}}, ("cost", "latency"))
    report = report_on(content, tmp_path)
    for format in ("terminal", "markdown", "html"):
        text = " ".join(render(report, format).split())
        assert SAID in text
        assert "0.5: kept whole: 1 of 41 groups: conv1: it has 8." in text
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    (row,) = [row for row in rows if row["ratio"] == "0.5" and row["batch_size"] == "1"]
    assert (row["proof"], row["groups_kept_whole"], row["groups"]) == (NORM, "1", "41")
    assert json.loads(row["kept_whole"]) == {"conv1": "it has 8"}
    cells = json.loads(render(report, "json"))["cells"]
    assert {"conv1": "it has 8"} in [cell["kept_whole"] for cell in cells]


def test_the_page_tells_it_of_a_point(tmp_path: Path) -> None:
    """Among the facts of a point stand its proof and its groups kept whole, in words."""
    from pruning_core.report.page.points import measures_in, point_columns

    content = content_with({0.5: {"proof": NORM, **kept({"conv1": "it has 8"})}}, ("latency",))
    report = report_on(content, tmp_path)
    facts: Any = point_columns(report, measures_in(report))["facts"]
    assert "conv1: it has 8" in str(facts["kept_whole"])
    assert NORM in str(facts["proof"])


def test_hostile_names_and_reasons_do_not_act(tmp_path: Path) -> None:
    """Markup in the name of a layer or in a reason is text in every format."""
    evil = {"<script>a": "<img src=x onerror=alert(1)>\x1b[2J"}
    report = report_on(content_with({0.5: kept(evil)}, ("cost", "latency")), tmp_path)
    for format in ("terminal", "markdown", "html", "json", "csv"):
        text = render(report, format)
        assert "\x1b[2J" not in text
        if format in ("markdown", "html"):
            assert "<img" not in text
            assert "<script>a" not in text

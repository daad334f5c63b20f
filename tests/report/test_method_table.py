"""Methods side by side with their controls: paired by seed, and none is called better within the spread."""

import json
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.build import build_report
from pruning_core.report.estimate import Estimate
from pruning_core.report.method_table import PREFIX
from pruning_core.report.table import Report, Table
from pruning_core.report.verdict import NO, UNKNOWN, YES
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.made_up_methods import method_content
from tests.helpers.reports import report_on

CONTROLS = {
    "random": [330, 331, 332],
    "thin": [329, 330, 331],
    "scratch:magnitude": [328, 329, 330],
    "dense+": [352, 353, 351],
}
IMAGES = 360


def table_of(tmp_path: Path, right: dict[str, list[int]], **fields: Any) -> Table:
    """Return the one table of methods."""
    found = [
        t for t in report_on(method_content(right, **fields), tmp_path).tables if t.title.startswith(PREFIX)
    ]
    assert len(found) == 1
    return found[0]


def row_of(table: Table, method: str) -> dict[str, Any]:
    """Return the row of a method."""
    (row,) = [row for row in table.rows if row["method"] == method]
    return dict(row)


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    """Seeds that are good for both take nothing from a difference: its interval is that of the pairs.

    These differ by three images each: no spread is seen, but that of rounding to images is there.
    """
    table = table_of(tmp_path, {"magnitude": [300, 340, 320], "taylor": [303, 343, 323]})
    difference = row_of(table, "taylor")["minus_magnitude"]
    assert difference == Estimate(
        *(pytest.approx(images / IMAGES, rel=1e-4) for images in (3, 3 - 1.01414, 3 + 1.01414))
    )
    assert row_of(table, "taylor")["deviation"] == pytest.approx(20 / IMAGES)
    assert any(
        "3 seeds: at ratio 0.5: taylor − magnitude = +0.83 points [+0.55, +1.12]" in note
        for note in table.notes
    )


def test_a_seed_that_one_lacks_is_in_no_pair(tmp_path: Path) -> None:
    """Means are of what each has; differences of the seeds that both have."""
    content = method_content({"magnitude": [300, 340], "taylor": [303, 345]})
    content["benchmarks"] = [
        e
        for e in content["benchmarks"]
        if (e["extra_info"]["method"], e["extra_info"]["seed"]) != ("taylor", 1)
    ]
    row = row_of(report_on(content, tmp_path).tables[-1], "taylor")
    assert row["seeds"] == 1
    assert row["minus_magnitude"] == Estimate(pytest.approx(3 / IMAGES))


def test_a_note_tells_of_how_many_seeds_each_difference_is(tmp_path: Path) -> None:
    """A method that has one seed in common with the first is not told as of three."""
    content = method_content(
        {"magnitude": [338, 339, 341], "fpgm": [335, 337, 338], "taylor": [341, 342, 344]}
    )
    content["benchmarks"] = [
        e
        for e in content["benchmarks"]
        if e["extra_info"]["method"] != "taylor" or e["extra_info"]["seed"] == 0
    ]
    notes = [n for n in report_on(content, tmp_path).tables[-1].notes if " − magnitude" in n]
    assert [note.partition(":")[0] for note in notes] == ["3 seeds", "one seed, no interval"]
    assert "fpgm" in notes[0]
    assert "taylor" in notes[1]


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ([338, 339, 340], YES),
        ([325, 326, 327], NO),
        ([329, 338, 333], UNKNOWN),
        ([331, 339, 331], UNKNOWN),
    ],
    ids=["above all", "below all", "within the spread", "not sure of one"],
)
def test_a_method_beats_its_controls_by_more_than_the_spread(
    tmp_path: Path, right: list[int], verdict: str
) -> None:
    """Above random, thin and scratch on the same seeds; what `dense+` reaches is no matter."""
    table = table_of(tmp_path, {"magnitude": right, **CONTROLS})
    assert row_of(table, "magnitude")["beats"] == verdict
    assert all(row_of(table, control)["beats"] == "" for control in CONTROLS)
    said = "beyond the spread over seeds, these beat their controls: magnitude at ratio 0.5." in table.notes
    assert said == (verdict == YES)
    assert "best" not in " ".join(table.notes)


def test_one_image_on_each_of_two_seeds_beats_nothing(tmp_path: Path) -> None:
    """Two equal differences of one image show no spread, and are no proof."""
    table = table_of(tmp_path, {"magnitude": [350, 350], "random": [349, 349]})
    assert row_of(table, "magnitude")["beats"] == UNKNOWN


def test_controls_of_a_target_are_there(tmp_path: Path) -> None:
    """Scratch takes the ratio of its method, whether its own records name the target or not."""
    content = method_content({"magnitude": [348, 349, 352], **CONTROLS}, target="4x")
    for entry in content["benchmarks"]:
        if entry["extra_info"]["method"] in ("scratch:magnitude", "dense+"):
            for name in ("target", "target_met", "target_reached"):
                entry["extra_info"].pop(name, None)
    table = report_on(content, tmp_path).tables[-1]
    assert {row["method"] for row in table.rows} == {"magnitude", *CONTROLS}
    assert row_of(table, "magnitude")["minus_scratch"].value == pytest.approx(20.667 / IMAGES, rel=1e-3)
    assert not any("controls that are not there" in note for note in table.notes)


def test_controls_are_those_of_a_methods_scope(tmp_path: Path) -> None:
    """Ranked over all layers, a method is held against chance and scratch that are; else local ones."""
    content = method_content(
        {"lamp": [348, 349, 352], "random": [330, 331, 332], "scratch:lamp": [300, 301, 303]}
    )
    for entry in content["benchmarks"]:
        if entry["extra_info"]["method"] != "dense":
            entry["extra_info"]["scope"] = "global"
    (table,) = [t for t in report_on(content, tmp_path).tables if t.title.startswith(PREFIX)]
    row = row_of(table, "lamp, global")
    assert row["beats"] == "only random, scratch"
    assert row["minus_random"].value == pytest.approx(18.667 / IMAGES, rel=1e-3)
    assert row["minus_scratch"].value == pytest.approx(48.333 / IMAGES, rel=1e-3)
    assert row_of(table, "random, global")["beats"] == ""
    assert "controls that are not there: thin, dense+." in table.notes


def test_a_checkpoint_that_misses_its_target_is_told(tmp_path: Path) -> None:
    """It stands at that target all the same, since its ratio was found for it: so the note says so."""
    content = method_content({"magnitude": [348, 349], "taylor": [347, 350]}, target="4x")
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        if "target" in record and (record["method"], record["seed"]) == ("taylor", 1):
            record |= {"target_met": "missed", "target_reached": "3.6x"}
    table = report_on(content, tmp_path).tables[-1]
    assert "at 4x not all checkpoints of these meet it: taylor." in table.notes


def test_a_method_that_lacks_a_target_leaves_its_columns_empty(tmp_path: Path) -> None:
    """What others are compared with may be out of reach at one target."""
    content = method_content(
        {"magnitude": [338, 339], "random": [330, 331], "taylor": [341, 342]}, target="2x"
    )
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        if record["method"] in ("random", "taylor"):
            record["ratio"] = 0.7
            if "target" in record:
                record["target"] = "4x"
    table = report_on(content, tmp_path).tables[-1]
    assert [(row["at"], row["method"]) for row in table.rows] == [("4x", "random"), ("4x", "taylor")]


def test_a_target_that_one_seed_tells_is_that_of_all(tmp_path: Path) -> None:
    """Times are measured of the first seed alone: the others were made for the same target."""
    content = method_content({"magnitude": [338, 339, 341], "random": [330, 331, 332]}, target="4x")
    for entry in content["benchmarks"]:
        if entry["extra_info"]["seed"]:
            for name in ("target", "target_met", "target_reached"):
                entry["extra_info"].pop(name, None)
    table = report_on(content, tmp_path).tables[-1]
    assert {row["at"]: row["seeds"] for row in table.rows} == {"4x": 3}


def test_one_method_in_two_scopes_is_two(tmp_path: Path) -> None:
    """Files of a local and a global run from the same dense models: each stands under its name."""
    local, over_all = (method_content({"magnitude": right}) for right in ([338, 339], [341, 343]))
    for entry in over_all["benchmarks"]:
        if entry["extra_info"]["method"] != "dense":
            entry["extra_info"]["scope"] = "global"
    runs = [factory.as_run(content, tmp_path, f"{i}.json") for i, content in enumerate((local, over_all))]
    (table,) = [t for t in build_report(runs).tables if t.title.startswith(PREFIX)]
    assert [row["method"] for row in table.rows] == ["magnitude", "magnitude, global"]
    assert row_of(table, "magnitude, global")["score"] == pytest.approx(342 / IMAGES)


def test_signs_can_be_read(tmp_path: Path) -> None:
    """A difference has its sign, its bounds no dash between them; a deviation has no sign."""
    content = method_content({"magnitude": [338, 339, 341], "random": [330, 331, 332]})
    text = render(report_on(content, tmp_path), "markdown")
    assert "-2.31 [-2.71 to -1.92]" in text
    assert "+0.42" not in text
    assert " 0.42 " in text


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    """However far it is above its controls."""
    table = table_of(
        tmp_path, {"magnitude": [350], "random": [200], "thin": [200], "scratch:magnitude": [200]}
    )
    assert row_of(table, "magnitude")["beats"] == UNKNOWN
    assert any("one seed, no interval" in note for note in table.notes)


def test_scratch_of_one_method_serves_all_of_its_shape(tmp_path: Path) -> None:
    """Local methods have the same widths; one of another shape has no such control."""
    right = {"magnitude": [338, 339, 340], "taylor": [338, 339, 341], "lamp": [339, 340, 341], **CONTROLS}
    table = table_of(tmp_path, right, costs={"lamp": {"params": 1_000_000}})
    assert isinstance(row_of(table, "taylor")["minus_scratch"], Estimate)
    assert "minus_scratch" not in row_of(table, "lamp")


def test_what_is_equal_is_the_target_where_there_is_one(tmp_path: Path) -> None:
    """Each row says it."""
    right = {"magnitude": [338, 339, 340], "random": [330, 331, 332]}
    assert {row["at"] for row in table_of(tmp_path, right, target="4x fewer MACs").rows} == {"4x fewer MACs"}
    assert {row["at"] for row in table_of(tmp_path, right).rows} == {"ratio 0.5"}


def test_controls_that_are_missing_are_named(tmp_path: Path) -> None:
    """A comparison without them says so."""
    table = table_of(tmp_path, {"magnitude": [338, 339, 340], "random": [330, 331, 332]})
    assert "controls that are not there: thin, dense+, scratch:METHOD." in table.notes


def test_checkpoints_of_another_dense_model_are_not_compared(tmp_path: Path) -> None:
    """Two files of one seed whose dense models were trained otherwise make no table of methods."""
    one, other = method_content({"magnitude": [338, 339]}), method_content({"taylor": [340, 341]})
    for entry in other["benchmarks"]:
        record = entry["extra_info"]
        record["key"] = record["key"][::-1]

    def both(*contents: dict[str, Any]) -> Report:
        runs = [factory.as_run(content, tmp_path, f"{i}.json") for i, content in enumerate(contents)]
        return build_report(runs)

    report = both(one, other)
    assert not any(table.title.startswith(PREFIX) for table in report.tables)
    report = both(one, method_content({"taylor": [340, 341]}))
    assert any(table.title.startswith(PREFIX) for table in report.tables)


def test_a_run_of_several_seeds_has_its_tables_once(tmp_path: Path) -> None:
    """A main table for each method, of the first seed; a table over seeds; every cell in CSV."""
    report = report_on(method_content({"magnitude": [338, 339, 340], "random": [330, 331, 332]}), tmp_path)
    titles = [table.title for table in report.tables]
    assert len(titles) == len(set(titles)) == 1 + 2 + 2
    assert sum(title.startswith("over seeds") for title in titles) == 2
    text = render(report, "csv")
    assert len(text.splitlines()) == 1 + 3 * 3
    assert len(json.loads(render(report, "json"))["runs"]) == 1
    for form in ("terminal", "markdown", "html"):
        assert "beats controls" in render(report, form)

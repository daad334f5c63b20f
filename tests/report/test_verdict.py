"""Which controls a method beats: those that were neither helped nor held back, each that it can have."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.estimate import Estimate
from pruning_core.report.method_table import PREFIX
from pruning_core.report.table import Table
from pruning_core.report.verdict import NO, UNKNOWN, YES
from tests.helpers.made_up_methods import method_content
from tests.helpers.reports import report_on

HIGH, LOW = [348, 349, 350], [318, 319, 320]
CONTROLS = {
    "random": [330, 331, 332],
    "thin": [329, 330, 331],
    "scratch:magnitude": [328, 329, 330],
    "dense+": [352, 353, 351],
}
DENSE_COST = next(
    entry["extra_info"]
    for entry in method_content({"magnitude": [300]})["benchmarks"]
    if entry["extra_info"]["method"] == "dense"
)
MASKED = {name: DENSE_COST[name] for name in ("macs", "params")} | {"achieved_ratio": 0.0, "sparsity": 0.5}


def table_on(content: dict[str, Any], tmp_path: Path) -> Table:
    """Return the one table of methods."""
    (table,) = [t for t in report_on(content, tmp_path).tables if t.title.startswith(PREFIX)]
    return table


def table_of(tmp_path: Path, right: dict[str, list[int]], **fields: Any) -> Table:
    """Return the one table of made-up methods."""
    return table_on(method_content(right, **fields), tmp_path)


def verdict_on(table: Table, method: str = "magnitude") -> object:
    """Return what a table says of a method."""
    (row,) = [row for row in table.rows if row["method"] == method]
    return row["beats"]


def notes_on(table: Table, words: str) -> list[str]:
    """Return the notes that begin so."""
    return [note for note in table.notes if note.startswith(words)]


def epochs(**of: int) -> dict[str, dict[str, int]]:
    """Return the cost fields of methods that were trained for so many epochs in all."""
    return {name.replace("scratch", "scratch:magnitude"): {"epochs_spent": n} for name, n in of.items()}


@pytest.mark.parametrize(
    ("right", "spent", "verdict"),
    [
        (HIGH, {}, YES),
        (HIGH, {"magnitude": 14}, UNKNOWN),
        (HIGH, {"thin": 10}, UNKNOWN),
        (HIGH, {"random": 14, "thin": 14, "scratch": 16}, YES),
        (LOW, {}, NO),
        (LOW, {"magnitude": 14}, NO),
        (LOW, {"random": 14, "thin": 14, "scratch": 14}, UNKNOWN),
        (LOW, {"random": 14, "thin": 14}, NO),
    ],
    ids=[
        *("as many", "the winner had more", "one loser had fewer", "the losers had more"),
        *("all had as many", "the loser had more", "the winners had more", "one winner had as many"),
    ],
)
@pytest.mark.parametrize("target", ["", "4x fewer MACs"], ids=["ratio", "target"])
def test_epochs_decide_what_a_control_proves(
    tmp_path: Path, right: list[int], spent: dict[str, int], verdict: str, target: str
) -> None:
    """A win over one that had fewer shows nothing, and no more does a defeat by one that had more."""
    table = table_of(tmp_path, {"magnitude": right, **CONTROLS}, costs=epochs(**spent), target=target)
    assert verdict_on(table) == verdict
    assert bool(notes_on(table, "these beat") or notes_on(table, "beyond the spread")) == (verdict == YES)


def test_a_note_says_who_had_how_many_epochs(tmp_path: Path) -> None:
    """In one line, methods and controls alike, those alone that are not as most; none where all are equal."""
    right = {"magnitude": HIGH, "slimming": HIGH, "group-norm": LOW, **CONTROLS}
    begin = "epochs in all"
    assert notes_on(table_of(tmp_path, right), begin) == []
    costs = epochs(**{"slimming": 14, "group-norm": 14, "dense+": 10})
    (note,) = notes_on(table_of(tmp_path, right, costs=costs), begin)
    assert note == (
        "epochs in all, those of the dense model included: "
        "at ratio 0.5 slimming, group-norm 14, dense+ 10, the others 12."
    )


def test_epochs_of_earlier_files_are_those_of_their_steps(tmp_path: Path) -> None:
    """Without `epochs_spent` a chain has those of dense and of each step; new weights have what they say."""
    for of_thin, verdict in ((12, YES), (11, UNKNOWN)):
        content = method_content({"magnitude": HIGH, **CONTROLS})
        for entry in content["benchmarks"]:
            record = entry["extra_info"]
            record.pop("epochs_spent", None)
            if record["suite"] == "cost" and record["method"] in ("thin", "scratch:magnitude"):
                record["epochs"] = of_thin
        assert verdict_on(table_on(content, tmp_path)) == verdict


def test_nothing_is_shown_where_epochs_and_sizes_are_not_known(tmp_path: Path) -> None:
    """A file without its cost records says no more than who scored what."""
    content = method_content({"magnitude": HIGH, **CONTROLS})
    content["benchmarks"] = [e for e in content["benchmarks"] if e["extra_info"]["suite"] != "cost"]
    table = table_on(content, tmp_path)
    assert verdict_on(table) == UNKNOWN
    assert notes_on(table, "epochs in all")[0].endswith(
        "not known of all, so that no control shows anything."
    )


def test_scratch_is_a_methods_own_or_one_of_as_many_epochs(tmp_path: Path) -> None:
    """Several have its shape: its own comes first, then one that was trained as long."""
    right = {
        "magnitude": HIGH,
        "slimming": HIGH,
        "group-norm": HIGH,
        "scratch:magnitude": [300, 301, 302],
        "scratch:slimming": [310, 311, 312],
    }
    longer = {name: {"epochs_spent": 14} for name in ("slimming", "group-norm", "scratch:slimming")}
    rows = {row["method"]: row for row in table_of(tmp_path, right, costs=longer).rows}
    gains = {name: rows[name]["minus_scratch"] for name in ("magnitude", "slimming", "group-norm")}
    assert all(isinstance(gain, Estimate) for gain in gains.values())
    assert {name: round(360 * gain.value) for name, gain in gains.items()} == {
        "magnitude": 48,
        "slimming": 38,
        "group-norm": 38,
    }


def test_scratch_is_that_of_a_method_that_is_made_fast_on_a_backend(tmp_path: Path) -> None:
    """Its name says the backend, that of its control does not."""
    right = {"magnitude": HIGH, "latency-aware": HIGH}
    controls = {"scratch:magnitude": [300, 301, 302], "scratch:latency-aware": [310, 311, 312]}
    content = method_content(right | controls)
    for entry in content["benchmarks"]:
        if entry["extra_info"]["method"] == "latency-aware":
            entry["extra_info"]["optimize_for"] = "eager"
    rows = {row["method"]: row for row in table_on(content, tmp_path).rows}
    assert round(360 * rows["latency-aware (eager)"]["minus_scratch"].value) == 38


MASKS = ("unstructured-l1", "ln-structured", "unstructured-random")


@pytest.mark.parametrize(
    ("of_control", "verdict"), [([330, 331, 332], YES), ([352, 353, 354], NO), (None, UNKNOWN)]
)
def test_masks_are_held_against_random_masks(
    tmp_path: Path, of_control: list[int] | None, verdict: str
) -> None:
    """Random channels, four times smaller, are no control of masks: random masks are."""
    right = {"magnitude": HIGH, "random": LOW, "unstructured-l1": HIGH, "ln-structured": HIGH}
    right |= {} if of_control is None else {"unstructured-random": of_control}
    table = table_of(tmp_path, right, costs=dict.fromkeys(MASKS, MASKED))
    assert {verdict_on(table, name) for name in ("unstructured-l1", "ln-structured")} == {verdict}
    assert verdict_on(table) == "only random"
    if of_control is None:
        assert (
            "controls that are not there: thin, unstructured-random, dense+, scratch:METHOD." in table.notes
        )
    else:
        assert verdict_on(table, "unstructured-random") == ""
        assert "controls that are not there: thin, dense+, scratch:METHOD." in table.notes


def test_random_masks_are_those_of_a_methods_scope(tmp_path: Path) -> None:
    """Ranked over all layers, a mask is not held against one that takes as much of each."""
    content = method_content(
        {"unstructured-l1": HIGH, "unstructured-random": LOW}, costs=dict.fromkeys(MASKS, MASKED)
    )
    for entry in content["benchmarks"]:
        if entry["extra_info"]["method"] == "unstructured-l1":
            entry["extra_info"]["scope"] = "global"
    assert verdict_on(table_on(content, tmp_path), "unstructured-l1, global") == UNKNOWN


HALF = next(
    entry["extra_info"]
    for entry in method_content({"magnitude": [300]})["benchmarks"]
    if entry["extra_info"]["method"] == "magnitude"
)


@pytest.mark.parametrize(
    ("right", "times", "verdict"),
    [
        (HIGH, 1.04, YES),
        (HIGH, 1.2, UNKNOWN),
        (HIGH, 0.8, YES),
        (LOW, 1.2, NO),
        (LOW, 0.8, UNKNOWN),
    ],
    ids=["as large", "larger, above", "smaller, above", "larger, below", "smaller, below"],
)
def test_size_decides_at_an_equal_ratio(tmp_path: Path, right: list[int], times: float, verdict: str) -> None:
    """A method that is larger than its controls has to lose to show anything, a smaller one to win."""
    costs = {"magnitude": {name: round(times * HALF[name]) for name in ("macs", "params")}}
    table = table_of(tmp_path, {"magnitude": right, **CONTROLS}, costs=costs)
    assert verdict_on(table) == verdict
    told = notes_on(table, "no fair control, since it is over 5% smaller")
    assert bool(told) == (verdict == UNKNOWN and right == HIGH)
    at_target = table_of(tmp_path, {"magnitude": right, **CONTROLS}, costs=costs, target="4x fewer MACs")
    assert verdict_on(at_target) == (YES if right == HIGH else NO)


def test_a_control_of_another_size_is_named(tmp_path: Path) -> None:
    """It counts as one that is missing: a win over the others says which they are."""
    larger = {name: round(1.3 * HALF[name]) for name in ("macs", "params")}
    right = {"lamp": HIGH, **CONTROLS, "scratch:lamp": LOW}
    table = table_of(tmp_path, right, costs={"lamp": larger, "scratch:lamp": larger, "thin": larger})
    assert verdict_on(table, "lamp") == "only thin, scratch"
    assert notes_on(table, "no fair control") == [
        "no fair control, since it is over 5% smaller, or its size is not known: at ratio 0.5 random of lamp."
    ]
    assert notes_on(table, "no method beats all its controls")
    assert notes_on(table, "these beat")[0].endswith("lamp at ratio 0.5 (only thin, scratch).")


@pytest.mark.parametrize(
    ("there", "verdict"),
    [
        (("random",), "only random"),
        (("random", "thin"), "only random, thin"),
        (("thin", "scratch:magnitude"), "only thin, scratch"),
        (("random", "thin", "scratch:magnitude"), YES),
        (("dense+",), UNKNOWN),
    ],
)
def test_a_yes_needs_every_control(tmp_path: Path, there: tuple[str, ...], verdict: str) -> None:
    """Where some are missing a win says which were beaten; `dense+` is none that a method has to beat."""
    right = {"magnitude": HIGH, **{name: CONTROLS[name] for name in there}}
    table = table_of(tmp_path, right)
    assert verdict_on(table) == verdict
    assert bool(notes_on(table, "controls that are not there")) == (set(there) != set(CONTROLS))


@pytest.mark.parametrize(("right", "verdict"), [(HIGH, "only random"), ([325, 326, 327], NO)])
def test_new_weights_are_no_control_of_trained_ones(tmp_path: Path, right: list[int], verdict: str) -> None:
    """Where a network came with its weights, `thin` and scratch had the epochs of fine-tuning alone."""
    content = method_content({"magnitude": right, **CONTROLS})
    for entry in content["benchmarks"]:
        entry["extra_info"] |= {"weights": "best.pt", "weights_sha256": "ab" * 32}
    table = table_on(content, tmp_path)
    assert verdict_on(table) == verdict
    assert notes_on(table, "no fair control") == [
        "no fair control, since it had new weights and the epochs of fine-tuning alone, where methods "
        "begin with trained ones: thin, scratch:magnitude."
    ]
    content["benchmarks"] = [
        e for e in content["benchmarks"] if e["extra_info"]["method"] not in ("thin", "scratch:magnitude")
    ]
    assert notes_on(table_on(content, tmp_path), "controls that are not there") == []

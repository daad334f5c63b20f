"""Seeds of one recipe are replicates; what was trained otherwise is in no mean with them, nor compared."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.method_table import PREFIX
from pruning_core.report.recommendation.command import Budgets, recommend
from pruning_core.report.recommendation.drop import Drops
from pruning_core.report.recommendation.question import Question
from pruning_core.report.table import Report
from tests.helpers import record_factory as factory
from tests.helpers.made_up_choices import DENSE, content_of
from tests.helpers.made_up_methods import method_content
from tests.helpers.questions import FAST, changed
from tests.helpers.results import RESULTS

RIGHT = {"magnitude": [338, 341], "thin": [330, 332], "scratch:magnitude": [331, 333], "dense+": [350, 352]}
ONE, OTHER = ({"recipe_sha256": digits * 8} for digits in ("0123abcd", "4567ef89"))


def file_of(seeds: tuple[int, ...], dense: int = 10, **fields: Any) -> dict[str, Any]:
    """Return the content of a file whose records have these fields, and its dense models so many epochs."""
    content = method_content({name: right[: len(seeds)] for name, right in RIGHT.items()}, seeds=seeds)
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        record |= fields
        if (record["suite"], record["method"]) == ("cost", "dense"):
            record["epochs"] = record["epochs_spent"] = dense
    return content


def report_of(tmp_path: Path, *files: dict[str, Any]) -> Report:
    """Return the report of files."""
    return build_report([factory.as_run(file, tmp_path, f"{i}.json") for i, file in enumerate(files)])


def titles(report: Report, prefix: str) -> list[str]:
    """Return the titles of some tables, without what they begin with."""
    return [t.title.removeprefix(prefix) for t in report.tables if t.title.startswith(prefix)]


@pytest.mark.parametrize("fields", [{}, ONE])
def test_seeds_of_one_recipe_are_replicates(tmp_path: Path, fields: dict[str, str]) -> None:
    """In two files as in one; controls that were trained from new weights are compared with the methods."""
    report = report_of(tmp_path, file_of((0,), **fields), file_of((1,), **fields))
    assert titles(report, "over seeds: resnet18 on digits, ") == list(RIGHT)
    (table,) = [t for t in report.tables if t.title.startswith(PREFIX)]
    assert {row["method"]: row["seeds"] for row in table.rows} == dict.fromkeys(RIGHT, 2)
    assert table.title == "methods: resnet18 on digits"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((file_of((0,), **ONE), file_of((1,), **OTHER)), ["recipe 0123abcd", "recipe 4567ef89"]),
        ((file_of((0,)), file_of((1,), dense=3)), ["10 + 2 epochs", "3 + 2 epochs"]),
        ((file_of((0,), **ONE), file_of((1,))), ["recipe 0123abcd", "10 + 2 epochs"]),
    ],
    ids=["two recipes", "earlier files", "an earlier file"],
)
def test_two_recipes_are_not_averaged(tmp_path: Path, files: tuple[Any, ...], words: list[str]) -> None:
    """Seed 0 of one and seed 1 of the other: no mean over both, and a table of methods for each."""
    report = report_of(tmp_path, *files)
    assert titles(report, "over seeds: ") == []
    found = [t for t in report.tables if t.title.startswith(PREFIX)]
    assert [t.title.partition(", ")[2] for t in found] == words
    for table in found:
        assert {row["method"]: row["seeds"] for row in table.rows} == dict.fromkeys(RIGHT, 1)


def test_the_dense_models_of_a_table_are_of_its_recipe(tmp_path: Path) -> None:
    """Both recipes on the same seeds: each mean of dense is over its own, and so is `dense+`."""
    one, other = file_of((0, 1), **ONE), file_of((0, 1), **OTHER)
    for entry in other["benchmarks"]:
        record = entry["extra_info"]
        if record["method"] in ("dense", "dense+") and record["suite"] == "accuracy":
            factory.set_right(record, 300)
    report = report_of(tmp_path, one, other)
    tables = [t for t in report.tables if t.title.startswith("over seeds: resnet18 on digits, magnitude")]
    means = [round(360 * row["mean"]) for t in tables for row in t.rows if not row["ratio"]]
    assert means == [350, 300]
    tables = [t for t in report.tables if t.title.startswith(PREFIX)]
    scores = [row["score"] for t in tables for row in t.rows if row["method"] == "dense+"]
    assert [round(360 * score) for score in scores] == [351, 300]


def test_published_runs_of_two_recipes_are_not_averaged() -> None:
    """One was trained for 3 epochs and 2, the other for 10 and 1: their records have no recipe."""
    paths = [RESULTS / "quick" / "run.json", RESULTS / "masks" / "run-seed1.json"]
    assert titles(build_report([read_run(path) for path in paths]), "over seeds: ") == []


@pytest.mark.parametrize(("recipe", "known"), [(ONE, True), (OTHER, False)])
def test_a_drop_is_from_a_dense_model_of_the_recipe(
    tmp_path: Path, recipe: dict[str, str], known: bool
) -> None:
    """A file without its dense model takes that of another file, if that was trained alike."""
    without, beside = content_of(changed(FAST, more=ONE)), content_of(changed(DENSE, more=recipe))
    without["benchmarks"] = [e for e in without["benchmarks"] if e["extra_info"]["method"] != "dense"]
    indexes = report_of(tmp_path, without, beside).indexes
    drop = Drops(indexes).drop_of(indexes[0], indexes[0].run.records[-1])
    assert (drop is not None) == known


def test_another_recipe_is_no_other_seed_to_ship(tmp_path: Path) -> None:
    """`recommend` tells of other seeds of the cell to ship those of its recipe, and names the recipe."""

    def answer(*recipes: dict[str, str]) -> Any:
        paths = []
        for seed, recipe in enumerate(recipes):
            content = content_of(changed(FAST, more=recipe))
            for entry in content["benchmarks"]:
                record = entry["extra_info"]
                record["seed"] = seed
                record["key"] = f"{seed}{record['key'][1:]}"
            paths.append(factory.write(content, tmp_path / f"{seed}.json"))
        return recommend(paths, Question(), Budgets(max_drop=0.005))

    assert [found.seed for found in answer(ONE, ONE).seeds] == [0, 1]
    found = answer(ONE, OTHER)
    assert len(found.seeds) == 1
    assert sorted(title for title in found.titles.values() if "recipe" in title) == [
        "magnitude 0.75, openvino fp32, recipe 0123abcd, seed 0",
        "magnitude 0.75, openvino fp32, recipe 4567ef89, seed 1",
    ]

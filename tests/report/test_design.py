"""Checkpoints that were made otherwise are no replicates, and no means or differences are over them."""

from pathlib import Path
from typing import Any

from pruning_core.report.build import build_report
from pruning_core.report.method_table import PREFIX
from pruning_core.report.table import Report
from tests.helpers import record_factory as factory
from tests.helpers.made_up_methods import method_content

RIGHT = {"magnitude": [338, 341], "random": [330, 332], "dense+": [350, 352]}


def report_of(tmp_path: Path, *files: dict[str, Any]) -> Report:
    """Return the report of files that are alike but for these fields of what was pruned."""
    runs = []
    for number, fields in enumerate(files):
        seeds = fields.pop("seeds", (0, 1))
        content = method_content({name: right[: len(seeds)] for name, right in RIGHT.items()}, seeds=seeds)
        for entry in content["benchmarks"]:
            record = entry["extra_info"]
            if record["method"] not in ("dense", "dense+"):
                record |= fields
        runs.append(factory.as_run(content, tmp_path, f"{number}.json"))
    return build_report(runs)


def titles(report: Report, prefix: str) -> list[str]:
    """Return the titles of some tables, without what they begin with."""
    return [t.title.removeprefix(prefix) for t in report.tables if t.title.startswith(prefix)]


def test_other_widths_are_no_other_seed(tmp_path: Path) -> None:
    """Seed 0 rounded to 2 and seed 1 rounded to 8: no mean over both, and no method with two seeds."""
    report = report_of(tmp_path, {"round_to": 2, "seeds": (0,)}, {"round_to": 8, "seeds": (1,)})
    assert titles(report, "over seeds: ") == ["resnet18 on digits, dense+"]
    found = [t for t in report.tables if t.title.startswith(PREFIX)]
    assert [t.title.partition(", ")[2] for t in found] == ["rounded to 2", "rounded to 8"]
    for table in found:
        assert {row["method"]: row["seeds"] for row in table.rows} == {
            "magnitude": 1,
            "random": 1,
            "dense+": 2,
        }


def test_what_is_made_otherwise_has_a_table_of_its_own(tmp_path: Path) -> None:
    """Both scopes of a method, over the same seeds, each under its name."""
    report = report_of(tmp_path, {"scope": "local"}, {"scope": "global"})
    over_seeds = titles(report, "over seeds: resnet18 on digits, ")
    assert over_seeds == [
        "magnitude, local",
        "magnitude, global",
        "random, local",
        "random, global",
        "dense+",
    ]
    (table,) = [t for t in report.tables if t.title.startswith(PREFIX)]
    assert {row["method"] for row in table.rows} == {
        *("magnitude", "random", "magnitude, global", "random, global", "dense+")
    }


def test_a_method_made_fast_on_two_backends_is_two(tmp_path: Path) -> None:
    """`latency-aware` for one backend is another design than for another one."""
    files = []
    for number, backend in enumerate(("eager", "openvino:int8")):
        content = method_content({"latency-aware": [338], "random": [330]}, seeds=(0,))
        for entry in content["benchmarks"]:
            if entry["extra_info"]["method"] == "latency-aware":
                entry["extra_info"]["optimize_for"] = backend
        files.append(factory.as_run(content, tmp_path, f"{number}.json"))
    (table,) = [t for t in build_report(files).tables if t.title.startswith(PREFIX)]
    assert {row["method"] for row in table.rows} == {
        *("latency-aware (eager)", "latency-aware (openvino:int8)", "random")
    }


def test_a_failure_of_any_seed_is_told(tmp_path: Path) -> None:
    """Main tables are of the first seed; what failed of another one stands above the tables over seeds."""
    content = method_content(RIGHT)
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        if (record["suite"], record["method"], record["seed"]) == ("accuracy", "magnitude", 1):
            record |= {"status": "failed", "failure": "below the limit"}
    report = build_report([factory.as_run(content, tmp_path, "run.json")])
    for prefix in ("over seeds: resnet18 on digits, magnitude", PREFIX):
        (table,) = [t for t in report.tables if t.title.startswith(prefix)]
        assert [line.partition(":")[0] for line in table.warnings] == ["✗ failed"]
        assert table.warnings[0].endswith("below the limit")
        assert [row["flags"] for row in table.rows if row.get("method", "magnitude") == "magnitude"][
            -1
        ] == "✗"

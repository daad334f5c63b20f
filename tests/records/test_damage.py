"""Records that lack what every record has, or contradict their own rounds and counts, are damaged."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pruning_core.cli import main
from pruning_core.errors import RecordError
from pruning_core.records.damage import REQUIRED, contradiction_in
from pruning_core.records.rounds import speedup_bounds
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.writers import render
from pruning_core.stats.intervals import median_interval
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import ACC, CONTROL, COST, LAT, small_run
from tests.helpers.made_up_records import rounds_fields
from tests.helpers.results import PUBLISHED_RUNS

TRAINING = {
    **dict.fromkeys(("failure", "model", "dataset", "method", "device"), "x"),
    "schema_version": 3,
    "suite": "training",
    "cell": "net-training",
    "status": "ok",
    "ratio": 0.0,
    "batch_size": 8,
    "step_ms": 4.0,
    "images_per_s": 2000.0,
    "reference": "baseline loop",
    "is_control": False,
    "contaminated": False,
    **rounds_fields([0.1 * i for i in range(10)]),
}


def refusal(content: dict[str, Any], folder: Path) -> str:
    """Return why a file of that content is refused."""
    path = folder / "run.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        read_run(path)
    assert "run.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_published_runs_are_sound() -> None:
    """Every run in results/, of schema 1 to 3, is read, and its bounds are those of its rounds."""
    schemas = set()
    for path in PUBLISHED_RUNS:
        if "benchmarks" in json.loads(path.read_text()):
            schemas |= {record["schema_version"] for record in read_run(path).records}
    assert schemas == {1, 2, 3}


def test_what_every_record_has_is_needed(tmp_path: Path) -> None:
    """A record without a field of its suite's list is damaged, and the field is named."""
    for suite, names in REQUIRED.items():
        for name in names:
            content = small_run()
            if suite == "training":
                content["benchmarks"].append({"extra_info": dict(TRAINING)})
            del next(factory.records_of(content, suite))[name]
            assert f"has no {name}: the record is damaged" in refusal(content, tmp_path)


@pytest.mark.parametrize(
    ("identity", "change", "words"),
    [
        (LAT, lambda r: r.pop("looks"), "has no looks"),
        (LAT, lambda r: r["log_ratios"].pop(), "9 log_ratios for 10 rounds"),
        (LAT, lambda r: r.update(log_ratios=[], rounds=0), "0 log_ratios for 0 rounds"),
        (LAT, lambda r: r.update(speedup=r["speedup"] * 1.002), "its rounds say"),
        (LAT, lambda r: r.update(speedup_low=r["speedup_low"] * 0.9), "its rounds say"),
        (LAT, lambda r: r.update(speedup_high=r["speedup_high"] * 1.1), "its rounds say"),
        (LAT, lambda r: r.update(speedup_low=r["speedup_high"] * 1.1), "above speedup"),
        (LAT, lambda r: r.update(confidence=0.5), "which no interval of 10 rounds has"),
        (LAT, lambda r: r.update(looks=0), "which no interval of 10 rounds has"),
        (LAT, lambda r: r.update(looks=3), "which no interval of 10 rounds has"),
        (LAT, lambda r: r.update(log_ratios=[-x for x in r["log_ratios"]]), "its rounds say"),
        (LAT, lambda r: r.update(latency_ms=r["latency_ms"] * 1.5), "above latency_high_ms"),
        (LAT, lambda r: r.update(images_per_s=1.0), "images_per_s = 1"),
        (LAT, lambda r: r.update(reference_latency_ms=900.0), "beside reference_latency_ms = 900"),
        (LAT, lambda r: r.update(mac_efficiency=1.0), "mac_efficiency"),
        (LAT, lambda r: r.update(latency_p05_ms=r["latency_p50_ms"] * 2), "above latency_p50_ms"),
        (LAT, lambda r: r.update(is_control=True), "an A/A control with another reference"),
        (CONTROL, lambda r: r.update(is_control=False), "its own reference, but no A/A control"),
        (ACC, lambda r: r.update(correct_bits="f" * 90), "correct_bits that are not 348 of 360"),
        (ACC, lambda r: r.update(correct_bits=r["correct_bits"] + "0"), "correct_bits"),
        (ACC, lambda r: r.update(accuracy_n=400), "which is no number of 400 images"),
        (ACC, lambda r: r.update(accuracy_low=0.96, accuracy_high=0.97), "348 of 360 images say"),
        (ACC, lambda r: r.pop("accuracy_low"), "has an accuracy without accuracy_low"),
        (ACC, lambda r: r.update(accuracy_drop=0.5), "accuracy_drop"),
    ],
)
def test_contradictions_are_damage(
    tmp_path: Path, identity: tuple[str, str], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """Numbers that do not follow from the rounds or counts beside them are refused in one line."""
    content = small_run()
    change(factory.find(content, identity))
    said = refusal(content, tmp_path)
    assert words in said
    assert said.endswith("the record is damaged")


def test_rounding_is_no_contradiction() -> None:
    """Numbers written with five digits still hang together."""
    for record in factory.records_of(factory.make_content(seed=3), "latency"):
        rounded = {
            name: float(f"{value:.5g}") if isinstance(value, float) else value
            for name, value in record.items()
        }
        assert contradiction_in(rounded) is None


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 10, 23, 40, 160, 1000])
@pytest.mark.parametrize("looks", [1, 3, 7])
@pytest.mark.parametrize("confidence", [0.6, 0.95, 0.999])
def test_bounds_that_were_made_are_found_again(rounds: int, looks: int, confidence: float) -> None:
    """Whatever was asked for, the interval that was stored is among those recomputed from its rounds."""
    values = [math.sin(i) / 10 for i in range(rounds)]
    low, high, coverage = median_interval(values, 1 - (1 - confidence) / looks)
    reached = max(0.0, 1 - (1 - coverage) * looks)
    found = list(speedup_bounds(values, reached, looks))
    assert any(pair == pytest.approx((math.exp(-high), math.exp(-low))) for pair in found)


def test_a_narrow_interval_of_little_confidence_is_none() -> None:
    """Nobody can ask for half or less, so bounds within the middle rounds are never an interval."""
    values = [i / 100 for i in range(10)]
    low, high, coverage = median_interval(values, 0.2)
    assert coverage < 0.5
    assert (math.exp(-high), math.exp(-low)) not in list(speedup_bounds(values, coverage, 1))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("latency_ms", 5e-324, "not a number in"),
        ("latency_ms", -1.0, "not a number in"),
        ("setup_s", -1.0, "not a number of seconds"),
        ("setup_s", 1e200, "not a number of seconds"),
        ("backend", "x" * 20_000, "a text of at most 200 characters"),
        ("key", "x" * 300, "a text of at most 200 characters"),
        ("cell", "x" * 2000, "a text of at most 1000 characters"),
        ("log_ratios", [0.0] * 5000, "2000 at most"),
        ("log_ratios", [[[[]]]], "a list of numbers"),
        ("widths", {"x" * 500: 3}, "a count for each layer"),
        ("widths", {str(i): 3 for i in range(30_000)}, "a count for each layer"),
    ],
)
def test_extremes_are_refused(tmp_path: Path, field: str, value: object, words: str) -> None:
    """Tiny, negative and endless values, names and lists are refused by the field's name."""
    content = small_run()
    factory.find(content, COST if field == "widths" else LAT)[field] = value
    assert words in refusal(content, tmp_path)


def test_a_long_failure_text_is_cut(tmp_path: Path) -> None:
    """What pytest says of a failure may be long: it is cut, and the run is read."""
    content = small_run()
    factory.find(content, ACC).update(status="failed", failure="x" * 100_000)
    run = factory.as_run(content, tmp_path)
    (text,) = [record["failure"] for record in run.records if record["status"] == "failed"]
    assert 1000 < len(text) < 3000


def deep(levels: int, inside: str = "") -> str:
    """Return lists within lists as JSON."""
    return "[" * levels + inside + "]" * levels


@pytest.mark.parametrize("levels", [500, 100_000])
@pytest.mark.parametrize("spot", ["extra", "samples", "machine", "commit", "field", "date", "nan"])
def test_nesting_is_one_line_or_stepped_over(
    tmp_path: Path,
    levels: int,
    spot: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Deeply nested lists, wherever they stand, end report and gate in one line or are not looked at."""
    content = small_run(seed=1)
    info = factory.find(content, LAT)
    holder: dict[str, Any] = {
        "extra": content["benchmarks"][0],
        "samples": content["benchmarks"][0]["stats"],
        "machine": content["machine_info"]["pruning_bench"],
        "commit": content["commit_info"],
        "field": info,
        "date": content,
        "nan": content["benchmarks"][0]["stats"],
    }[spot]
    holder[{"field": "log_ratios", "date": "datetime"}.get(spot, "deep")] = "DEEP"
    text = json.dumps(content).replace('"DEEP"', deep(levels, "NaN" if spot == "nan" else ""))
    path, good = tmp_path / "run.json", tmp_path / "good.json"
    path.write_text(text)
    good.write_text(json.dumps(small_run()))
    for arguments in (("report", path, "--format", "json"), ("gate", good, path)):
        monkeypatch.setattr("sys.argv", ["pruning-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert said.count("\n") <= 1
        assert ended.value.code == 2 if said else ended.value.code in (0, 3)
        assert said.startswith("error: ") or (not said and levels == 500)


@pytest.mark.parametrize("number", ["9" * 5000, "1" + "0" * 400, "-" + "9" * 400, "1e999", "-1e999", "NaN"])
@pytest.mark.parametrize("field", ["rounds", "latency_ms", "macs", "schema_version", "seed", "log_ratios"])
def test_numbers_beyond_all_bounds_are_one_line(tmp_path: Path, field: str, number: str) -> None:
    """Numbers of thousands of digits, beyond a float, or none at all, are refused in one short line."""
    content = small_run()
    factory.find(content, COST if field == "macs" else LAT)[field] = "HERE"
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content).replace('"HERE"', number))
    with pytest.raises(RecordError) as caught:
        read_run(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A named pipe that nobody writes to, a device and a folder are refused at once."""

    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path, tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(RecordError, match="cannot read"):
            read_run(path)


def test_failed_records_with_little_in_them_are_shown(tmp_path: Path) -> None:
    """A cell that failed before anything was measured keeps no form of the report from being written."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",))
    for entry in content["benchmarks"][1::2]:
        keep = ("schema_version", "suite", "cell", "model", "dataset", "method", "ratio")
        few = {name: entry["extra_info"][name] for name in keep}
        entry["extra_info"] = few | {"status": "failed", "failure": "x"}
    path = factory.write(content, tmp_path / "run.json")
    for form in ("csv", "json", "markdown", "html", "svg"):
        write_report([path], form, tmp_path / f"out.{form}")
    assert "resnet18" in render(build_report([read_run(path)]), "markdown")

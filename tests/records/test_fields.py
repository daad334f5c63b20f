"""The reader of benchmark files: what it refuses; no damaged file brings it down or hides a cell."""

import json
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import RecordError
from pruning_core.records.earlier import OLD_NAMES, OLD_VALUES
from pruning_core.records.fields import FIELDS, field_table
from pruning_core.records.record import make_record, pack_correct_bits
from pruning_core.records.run import read_run
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import COST, LAT, small_run
from tests.helpers.run_text import read_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (json.dumps(small_run())[:-200], "no complete JSON"),
        ("[" * 100_000, "no complete JSON"),
        (b"\xff\xfe\x00", "no complete JSON"),
        ("[]", "no list 'benchmarks'"),
        ('{"benchmarks": {}}', "no list 'benchmarks'"),
        ('{"benchmarks": []}', "no entry of pruning-bench"),
        ('{"benchmarks": [{"stats": {"mean": 1}}, 7, null]}', "no entry of pruning-bench"),
    ],
)
def test_files_that_are_none_of_ours_are_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    """An empty, truncated, binary or foreign file gives one line that names it."""
    with pytest.raises(RecordError, match=words) as caught:
        read_text(text, tmp_path)
    assert "run.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path without a file, or of a folder, gives one line."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(RecordError, match="cannot read"):
            read_run(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schema_version", 4, "has schema 4; this program reads up to 3. Update pruning-bench"),
        ("schema_version", "1", "not a whole number"),
        ("schema_version", True, "not a whole number"),
        ("schema_version", 0, "not a whole number"),
        ("cell", None, "no 'cell'"),
        ("cell", "", "no 'cell'"),
        ("suite", 3, "no 'suite'"),
        ("status", "fine", "allowed: ok, failed"),
        ("latency_ms", "fast", "latency_ms = 'fast', not float"),
        ("latency_ms", float("nan"), "not float"),
        ("latency_ms", float("inf"), "not float"),
        ("latency_ms", 10**400, "not float"),
        ("latency_ms", 0, "not a number in"),
        ("speedup", -1.0, "not a number in"),
        ("accuracy", 1.5, r"not a fraction in \[0, 1\]"),
        ("accuracy_n", 0, "not a count"),
        ("rounds", 2**64, "not a count"),
        ("rounds", 2.5, "not int"),
        ("contaminated", 1, "not bool"),
        ("is_control", "no", "not bool"),
        ("log_ratios", [0.1, "x"], "not a list of numbers"),
        ("log_ratios", [0.1, float("nan")], "not a list of numbers"),
        ("log_ratios", [1000.0], "not a list of numbers"),
        ("log_ratios", 0.1, "not list"),
        ("widths", {"conv1": -1}, "not a count for each layer"),
        ("correct_bits", "xyz", "not hex digits"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, field: str, value: object, words: str) -> None:
    """A field of the wrong type, or a number that no measurement gives, is refused by the field's name."""
    content = small_run()
    factory.find(content, LAT)[field] = value
    with pytest.raises(RecordError, match=words):
        read_text(json.dumps(content), tmp_path)


def test_a_run_is_read_without_its_samples(tmp_path: Path) -> None:
    """A written run comes back with its machine, its commit and its records, foreign entries left out."""
    content = small_run()
    factory.find(content, LAT)["of a plugin"] = "dropped"
    content["benchmarks"].append({"name": "someone else's", "extra_info": {"a": 1}, "stats": {}})
    run = read_text(json.dumps(content), tmp_path)
    assert len(run.records) == 10
    assert run.machine_name == "box-a (Xeon, 8 cores)"
    assert run.commit == "0123456789abcdef"
    ours = {name for entry in small_run()["benchmarks"] for name in entry["extra_info"]}
    assert {name for record in run.records for name in record} == ours


def test_texts_are_made_printable(tmp_path: Path) -> None:
    """Control characters and halves of surrogate pairs in texts are replaced, line ends are kept."""
    content = small_run()
    factory.find(content, COST)["failure"] = "a\x1b[2J\x00\ud800\nb"
    content["machine_info"]["pruning_bench"].update(name="box\x07", load=float("nan"), gpus=["\x9b"])
    content["datetime"] = ["not", "text"]
    run = read_text(json.dumps(content), tmp_path)
    (record,) = [r for r in run.records if r["suite"] == "cost" and r["ratio"]]
    assert record["failure"] == "a\ufffd[2J\ufffd\ufffd\nb"
    assert run.machine["name"] == "box\ufffd"
    assert run.machine["load"] is None
    assert run.machine["gpus"] == ["\ufffd"]
    assert run.datetime == ""


@pytest.mark.parametrize("foreign", [float("nan"), float("inf"), "\ud800", 10**400])
def test_what_only_python_writes_as_json_is_read(tmp_path: Path, foreign: Any) -> None:
    """NaN, infinity and the like in somebody else's entry do not keep ours from being read."""
    content = small_run()
    plain = read_text(json.dumps(content), tmp_path)
    content["benchmarks"].append({"name": "x", "extra_info": {"a": foreign}, "stats": {"mean": foreign}})
    assert read_text(json.dumps(content), tmp_path).records == plain.records


def test_records_are_checked_when_they_are_made() -> None:
    """A field that is not in the table, or that the reader would refuse, is a mistake of ours."""
    assert make_record(ratio=0.5) == {"schema_version": 3, "ratio": 0.5}
    for fields in ({"colour": "red"}, {"ratio": "0.5"}, {"ratio": 1.5}, {"ratio": True}):
        with pytest.raises(TypeError):
            make_record(**fields)


def test_answers_are_packed_first_image_first() -> None:
    """Each bit is one image, the first image the highest bit, filled up with zeros."""
    assert pack_correct_bits([True, False, False, False, True]) == "88"
    assert pack_correct_bits([False] * 9) == "000"
    assert pack_correct_bits([]) == ""


def test_field_table_has_a_row_a_field() -> None:
    """The README's table names every field once."""
    rows = field_table().splitlines()
    assert len(rows) == len(FIELDS) + 2
    assert len({row.split("|")[1] for row in rows}) == len(rows)


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_schemas_are_read_under_the_names_of_today(version, tmp_path):
    """A record of schema 1 or 2 is read as one of today: names and values are those of schema 3."""
    content = small_run()
    of_today = read_text(json.dumps(content), tmp_path).records
    for entry in content["benchmarks"]:
        info = entry["extra_info"]
        info["schema_version"] = version
        for old, new in OLD_NAMES.items():
            if new in info:
                info[old] = info.pop(new)
        for (name, old), new in OLD_VALUES.items():
            if info.get(name) == new:
                info[name] = old
    read = read_text(json.dumps(content), tmp_path).records
    assert [{**record, "schema_version": 3} for record in read] == list(of_today)
    assert any("correct_bits" in record for record in read)
    assert any(record.get("roofline_bound") == "compute" for record in read)


def test_names_of_earlier_schemas_are_not_read_in_this_one(tmp_path):
    """A record that says schema 3 and has a field under an earlier name lacks that field."""
    content = small_run()
    info = next(e["extra_info"] for e in content["benchmarks"] if e["extra_info"]["suite"] == "latency")
    info["control"] = info.pop("is_control")
    with pytest.raises(RecordError, match="has no is_control"):
        read_text(json.dumps(content), tmp_path)

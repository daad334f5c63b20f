"""The reader of benchmark files: what it refuses; no damaged file brings it down or hides a cell."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pruning_core.cli import main
from pruning_core.errors import RecordError
from pruning_core.gate.cell import MATCHING_FIELDS
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.gate.render import to_json, to_junit, to_markdown
from pruning_core.records.earlier import OLD_NAMES, OLD_VALUES
from pruning_core.records.fields import FIELDS, field_table
from pruning_core.records.record import make_record, pack_correct_bits
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.writers import FORMATS, render
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import COST, LAT, SMALL_SHAPE, small_run
from tests.helpers.made_up_scores import ERROR, score_content


def read_text(text: str | bytes, folder: Path) -> Any:
    """Read a file of that content."""
    path = folder / "run.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_run(path)


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


VALUES: list[Any] = [None, True, -1, 0, 1, 10**400, 1e308, float("nan"), float("-inf"), "", "x\ud800", [], {}]
VALUES += [[[]], {"a": {"b": None}}, "\x00", "ok", "failed", 2**63, 0.5, [1e999], "latency", "cost"]


def damage(source: random.Random, content: Any) -> None:
    """Delete, replace, repeat or swap one thing somewhere in a benchmark file's content."""
    node = content
    if source.random() < 0.7:
        node = source.choice(content["benchmarks"])["extra_info"]
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = source.choice(keys)
        if not isinstance(node[key], dict | list) or source.random() < 0.3:
            break
        node = node[key]
    action = source.randrange(4)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    elif action == 2:
        other = source.choice(keys)
        node[key], node[other] = node[other], node[key]
    else:
        node[key] = copy.deepcopy(source.choice(VALUES))


def damaged_text(source: random.Random, text: str, content: dict[str, Any]) -> bytes:
    """Damage a file as a text, or as the content it holds."""
    kind = source.randrange(8)
    data = bytearray(text.encode())
    if kind == 0:
        return bytes(data[: source.randrange(len(data))])
    if kind == 1:
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        return bytes(data)
    if kind == 2:
        start = source.randrange(len(data))
        del data[start : start + source.randrange(1, 3000)]
        return bytes(data)
    changed = json.loads(text)
    if kind == 3:
        for _ in range(source.randrange(1, 4)):
            del changed["benchmarks"][source.randrange(len(changed["benchmarks"]))]
        return json.dumps(changed).encode()
    for _ in range(source.randrange(1, 4)):
        damage(source, changed)
        if not isinstance(changed.get("benchmarks"), list) or not changed["benchmarks"]:
            break
        if not all(
            isinstance(e, dict) and isinstance(e.get("extra_info"), dict) for e in changed["benchmarks"]
        ):
            break
    return json.dumps(changed).encode()


def identities(run: Any) -> set[tuple[str, str]]:
    """Return the cells of a run."""
    return {(record["suite"], record["cell"]) for record in run.records}


def stands_as_before(run: Any, record: dict[str, Any]) -> bool:
    """Tell whether a run has the cell of `record` once, not failed, and about the same thing."""
    found = [r for r in run.records if (r["suite"], r["cell"]) == (record["suite"], record["cell"])]
    alike = [all(r.get(name) == record.get(name) for name in MATCHING_FIELDS) for r in found]
    return alike == [True] and found[0]["status"] == "ok"


@pytest.mark.parametrize(
    ("content", "files"),
    [(small_run(rounds=6), 2200), (score_content(ERROR, rounds=6, **SMALL_SHAPE), 700)],
    ids=["classification", "another task"],
)
def test_damaged_files_give_one_line_and_never_hide_a_cell(
    tmp_path: Path, content: dict[str, Any], files: int
) -> None:
    """Of many damaged files none brings down reader, gate or report; what they have lost never passes."""
    text = json.dumps(content)
    baseline = read_text(text, tmp_path)
    source = random.Random(20260101)
    refusals = []
    read = lost = passed = 0
    for number in range(files):
        data = damaged_text(source, text, content)
        try:
            run = read_text(data, tmp_path)
        except RecordError as error:
            refusals.append(str(error))
            continue
        read += 1
        result = compare(baseline, run, Policy())
        compare(run, baseline, Policy())
        gone = identities(baseline) - identities(run)
        failed = {(r["suite"], r["cell"]) for r in run.records if r["status"] == "failed"}
        verdicts = {(cell.suite, cell.cell): cell.verdict for cell in result.cells}
        assert all(verdicts[identity] == "cannot-compare" for identity in gone), data
        assert all(verdicts.get(i) in (None, "regressed", "cannot-compare") for i in failed), data
        lost += bool(gone)
        assert result.exit_code in ((1, 2) if gone or failed & set(verdicts) else (0, 1, 2, 3)), data
        if result.exit_code == 0:
            passed += 1
            assert all(stands_as_before(run, record) for record in baseline.records), data
        report = build_report([baseline, run] if number % 25 == 0 else [run])
        render(report, list(FORMATS)[number % len(FORMATS)]).encode()
        if number % 25 == 0:
            for write in (to_json, to_junit, to_markdown):
                write(result).encode()
    assert len(refusals) > 0.22 * files
    assert not [text for text in refusals if "\n" in text]
    assert read > 0.22 * files
    assert lost > 0.045 * files
    assert passed < read / 2  # damage to what nobody compares, a time in ms say


def test_a_damaged_file_ends_the_commands_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands `report` and `gate` end over damaged files with exit code 2 and one line, or go on."""
    content = small_run(rounds=6)
    text = json.dumps(content)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(small_run(seed=1, rounds=6)))
    source = random.Random(7)
    for number in range(60):
        bad.write_bytes(damaged_text(source, text, content))
        try:
            read_run(bad)
            allowed = {0, 1, 2, 3}
        except RecordError:
            allowed = {2}
        pair = (good, bad) if number % 2 else (bad, good)
        for arguments in (("gate", *pair), ("report", bad, "--format", "json")):
            monkeypatch.setattr("sys.argv", ["pruning-bench", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code in allowed
            said = capsys.readouterr().err
            assert "Traceback" not in said
            assert said.startswith("error: ") if allowed == {2} else not said


def test_a_value_lost_from_a_judged_record_never_passes(tmp_path: Path) -> None:
    """A cell whose record has lost anything that is compared cannot be compared, or its file not be read."""
    compared = {
        "cost": ("macs", "params", "size_bytes", "seed", "round_to", "schedule", "dataset_fingerprint"),
        "accuracy": ("accuracy", "accuracy_n", "key", "precision", "device"),
        "latency": (
            "log_ratios",
            "rounds",
            "speedup",
            "is_control",
            "contaminated",
            "reference",
            "batch_size",
        ),
    }
    scored = ("score", "score_n", "score_name", "score_better", "key", "precision", "device")
    of_task = score_content(ERROR, **SMALL_SHAPE)
    lost = [(small_run(), suite, name) for suite, names in compared.items() for name in names]
    lost += [(of_task, "accuracy", name) for name in scored]
    for original, suite, name in lost:
        whole = read_text(json.dumps(original), tmp_path)
        for every_score in (False, True):
            content = copy.deepcopy(original)
            for record in factory.records_of(content, suite):
                del record[name]
                for other in [n for n in record if n.startswith("score") and every_score]:
                    del record[other]
            try:
                run = read_text(json.dumps(content), tmp_path)
            except RecordError:
                continue
            for pair in ((whole, run), (run, whole)):
                result = compare(*pair, Policy())
                assert {c.verdict for c in result.cells if c.suite == suite} == {"cannot-compare"}, name


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

"""Damaged benchmark files: one line, no cell is hidden, and nothing judged passes by it."""

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
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.writers import FORMATS, render
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import SMALL_SHAPE, small_run
from tests.helpers.made_up_scores import ERROR, score_content
from tests.helpers.run_text import read_text

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

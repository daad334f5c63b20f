"""What the gate prints and writes: summary, terminal, Markdown, JUnit, JSON."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pruning_core.errors import OptionError
from pruning_core.gate.command import run_gate
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.render import print_terminal, rows_of, summarize, to_json, to_junit, to_markdown
from pruning_core.gate.result import GateResult
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import (
    ACC,
    COST,
    LAT,
    judge,
    noisy,
    other_machine,
    setting,
    slower,
    small_run,
)


def printed(folder: Path, result: GateResult) -> str:
    """Return what a log file gets to see."""
    with (folder / "terminal.txt").open("w+", encoding="utf-8") as file:
        print_terminal(result, file, width=100)
        file.seek(0)
        return file.read()


def test_summary_says_what_it_cannot_see(tmp_path: Path) -> None:
    """The summary names common slow-downs as unseen, the chance of a false alarm, and the power."""
    text = to_markdown(judge(tmp_path, small_run(seed=1), small_run()))
    assert "dense and pruned models alike" in text
    assert "at most 5% (Holm)" in text
    assert "with 90% power" in text


def test_other_machine_is_said_in_the_summary(tmp_path: Path) -> None:
    """On another machine the summary says that times were not compared, and how to accept that."""
    new = small_run()
    other_machine(new)
    text = " ".join(judge(tmp_path, new, small_run()).notes)
    assert "times were not compared" in text
    assert "on_other_machine" in text


def test_version_changes_are_named_on_one_machine(tmp_path: Path) -> None:
    """A fact that differs between runs of one fingerprint is named, one that varies by the minute is not."""
    new = small_run()
    new["machine_info"]["pruning_bench"].update(torch="2.14.0", load_1m=3.0)
    notes = " ".join(judge(tmp_path, new, small_run()).notes)
    assert "torch differs: baseline 2.13.0, this run 2.14.0" in notes
    assert "load" not in notes


def test_many_cells_of_one_reason_share_a_row(tmp_path: Path) -> None:
    """What holds for many cells alike is said once in tables, and for each cell in JUnit and JSON."""
    baseline = factory.make_content()
    for name, factor in (("b1", 1.5), ("b32", 1.2)):
        slower(factor, ("latency", f"resnet18-digits-dense-eager-fp32-cpu-{name}"))(baseline)
    result = judge(tmp_path, factory.make_content(), baseline)
    text = to_markdown(result)
    assert "latency: 32 cells, such as" in text
    assert text.count("cannot-compare |") == 1
    assert "A/A control 0.66" in text  # the worse of the two controls
    assert sum(c["suite"] == "latency" for c in json.loads(to_json(result))["cells"]) == 32


def test_what_is_left_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that stop say how many rows they lack, and how many cells pass."""
    new = factory.make_content()
    for number, record in enumerate(factory.records_of(new, "cost")):
        record["macs"] += 10**9 * (number + 1)  # unlike reasons, so that each has a row
    result = judge(tmp_path, new, factory.make_content())
    rows = len(rows_of(result)[0])
    assert rows == 4
    hidden = f"{sum(not cell.changed for cell in result.cells)} cells pass without a change worth a row"
    for left_out in (0, 1):
        monkeypatch.setattr("pruning_core.gate.render.MAX_ROWS", rows - left_out)
        markdown, lines = to_markdown(result), printed(tmp_path, result).splitlines()
        assert markdown.count("| latency/") + markdown.count("| cost/") == rows - left_out
        assert sum(line.startswith("✗ regressed ") for line in lines) == rows - left_out
        said = f"1 more rows; {hidden}" if left_out else hidden
        assert said in lines
        assert f"\n\n{said}\n\n" in markdown
        assert "added" not in markdown


@pytest.mark.parametrize("count", [0, 5, 6])
def test_added_cells_are_named(tmp_path: Path, count: int) -> None:
    """Cells that the baseline has not are named, a few of them, and the rest counted."""
    baseline = factory.make_content()
    for identity in [("latency", r["cell"]) for r in factory.records_of(baseline, "latency")][:count]:
        factory.remove(baseline, identity)
    result = judge(tmp_path, factory.make_content(), baseline)
    added = [
        line for line in summarize(result) if line.startswith("added, so not in the baseline and not judged")
    ]
    assert [line.count("latency/") for line in added] == ([5] if count else [])
    assert [line.endswith(" more") for line in added] == ([count > 5] if count else [])


def test_a_run_without_changes_needs_no_table(tmp_path: Path) -> None:
    """Where nothing changed, no empty table stands in the outputs."""
    content = small_run(rounds=40)
    result = judge(tmp_path, content, content)
    assert result.verdict == "pass"
    assert "| verdict |" not in to_markdown(result)
    text = printed(tmp_path, result)
    assert text.splitlines()[0] == f"{len(result.cells)} cells pass without a change worth a row"
    assert "verdict" not in text


def test_junit_has_one_case_for_each_cell(tmp_path: Path) -> None:
    """JUnit marks regressed as failure, cannot-compare as error, inconclusive as the policy says."""
    new = small_run()
    setting(COST, macs=10**9)(new)
    noisy(new)
    factory.remove(new, ACC)
    for inconclusive, tag in (("stop", "skipped"), ("fail", "failure"), ("report", "skipped")):
        result = judge(tmp_path, new, small_run(), Policy(Tolerances(inconclusive=inconclusive)))
        root = ElementTree.fromstring(to_junit(result))
        cases = {
            (c.get("classname"), c.get("name")): [child.tag for child in c] for c in root.iter("testcase")
        }
        assert len(cases) == len(result.cells) == 10
        assert cases[COST] == ["failure"]
        assert cases[ACC] == ["error"]
        assert cases[LAT] == [tag]
        (suite,) = root
        assert suite.get("errors") == "1"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Markup, control characters and surrogates in a failure text act in none of the outputs."""
    new = small_run()
    setting(ACC, status="failed", failure="<script>a|b</script> [red]\x1b[31m \x00 \ud800 ]]>")(new)
    result = judge(tmp_path, new, small_run())
    markdown = to_markdown(result)
    assert "<script>" not in markdown
    assert "a\\|b" in markdown
    text = printed(tmp_path, result)
    assert "\x1b" not in text
    assert "[red]" in text
    assert "<script>" in "".join(
        str(f.get("message")) for f in ElementTree.fromstring(to_junit(result)).iter("failure")
    )
    assert json.loads(to_json(result))["exit_code"] == 1


def test_run_gate_writes_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command's function prints a table, writes all outputs, and appends to GitHub's step summary."""
    new = small_run()
    slower(1.3)(new)
    paths = [factory.write(c, tmp_path / f"{i}.json") for i, c in enumerate((small_run(seed=1), new))]
    policy = tmp_path / "policy.toml"
    policy.write_text("slowdown = 0.1\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "steps.md"))
    outputs = {name: tmp_path / name for name in ("junit", "markdown", "json_file")}
    assert run_gate(*paths, policy, **outputs) == 1
    printed = capsys.readouterr().out
    assert "✗ regressed" in printed
    assert LAT[1] in printed
    assert "tolerance 10.0%" in outputs["markdown"].read_text()
    assert outputs["markdown"].read_text() == (tmp_path / "steps.md").read_text()
    assert json.loads(outputs["json_file"].read_text())["verdict"] == "regressed"
    assert ElementTree.fromstring(outputs["junit"].read_text()).tag == "testsuites"
    with pytest.raises(OptionError, match="there is no folder"):
        run_gate(*paths, junit=tmp_path / "none" / "junit.xml")

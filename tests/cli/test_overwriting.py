"""What is read is never written to: a run would be lost."""

import shutil

import pytest

from tests.helpers.command_line import command_line
from tests.helpers.results import published_run


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "run.json", "-o", "run.json"),
        ("report", "run.json", "-o", "link.json"),
        ("explain", "run.json::no-cell", "-o", "link.json"),
        ("explain", "run.json", "--ratio", "0.5", "-o", "run.json"),
        ("selftest", "gate", "--folder", "runs", "--policy", "gate.toml", "--json", "gate.toml"),
        ("selftest", "latency", "--json", "trials.svg", "--figure", "trials.svg"),
        ("selftest", "latency", "--from-json", "gate.toml", "--figure", "gate.toml"),
        ("recommend", "run.json", "--batch-size", "1", "-o", "./run.json"),
        ("gate", "run.json", "other.json", "--json", "run.json"),
        ("gate", "run.json", "other.json", "--policy", "gate.toml", "--junit", "gate.toml"),
        ("gate", "run.json", "other.json", "--json", "out", "--junit", "out"),
    ],
)
def test_an_output_that_is_an_input_is_refused(arguments, monkeypatch, capsys, tmp_path):
    """One line before anything is done; all files stay as they are."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(published_run("quick"), "run.json")
    shutil.copy(published_run("backends"), "other.json")
    (tmp_path / "link.json").symlink_to("run.json")
    (tmp_path / "gate.toml").write_text("")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code, _, err = command_line(monkeypatch, capsys)(*arguments)
    assert (code, "name another file to write to" in err) == (2, True), err
    assert len(err.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "other.json", "-o", "run.json"),
        ("recommend", "other.json", "--batch-size", "1", "-o", "link.json"),
        ("gate", "other.json", "other.json", "--markdown", "run.json"),
        ("explain", "--model", "resnet18", "--ratio", "0.5", "-o", "run.json"),
        ("plan", "--model", "resnet18", "-o", "run.json"),
        ("explain", "--model", "resnet18", "--ratio", "0.5", "-o", "net/plan.json"),
        ("selftest", "compare", "--trials", "1", "--json", "run.json"),
    ],
)
def test_a_run_is_not_overwritten(arguments, monkeypatch, capsys, tmp_path):
    """Also where it is not read: what was measured cannot be made again."""
    monkeypatch.chdir(tmp_path)
    for name in ("run.json", "other.json"):
        shutil.copy(published_run("quick"), name)
    (tmp_path / "link.json").symlink_to("run.json")
    (tmp_path / "net").mkdir()
    for name in ("spec.json", "plan.json", "metrics.json", "weights.safetensors"):
        (tmp_path / "net" / name).touch()
    code, out, err = command_line(monkeypatch, capsys)(*arguments)
    assert (code, out, "it is not overwritten" in err) == (2, "", True), err
    assert len(err.splitlines()) == 1
    for name in ("run.json", "other.json", "link.json"):
        assert (tmp_path / name).read_bytes() == published_run("quick").read_bytes()


@pytest.mark.parametrize("text", ['min_score = "x"', "max_score = true", "max_score_drop = -1"])
def test_a_limit_of_a_score_that_is_none_is_one_line(text, monkeypatch, capsys, tmp_path):
    """It says what is allowed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.toml").write_text(text)
    runs = map(str, (published_run("quick"), published_run("backends")))
    code, _, err = command_line(monkeypatch, capsys)("gate", *runs, "--policy", "gate.toml")
    assert (code, "must be a number in [" in err) == (2, True), err

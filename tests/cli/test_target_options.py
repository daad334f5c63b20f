"""Targets on the command line: `plan` and `prepare` find the ratios themselves."""

import json

import pytest

from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder with a store of its own; give exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(tmp_path / "store"))
    return command_line(monkeypatch, capsys)


def test_plan_shows_the_ratios_that_meet_targets(run, tmp_path):
    """Its rows are those of the ratios found; the second time they are from the store."""
    model = write_user_model(tmp_path, "plan_nets")
    arguments = ("plan", "--model", model, "--target-macs", "2x,4x", "--round-to", "1", "--format", "json")
    code, out, err = run(*arguments)
    assert code == 0
    rows = json.loads(out)
    assert len(rows) == 2
    assert "2x fewer MACs: ratio" in err
    code, again, err = run(*arguments)
    assert json.loads(again) == rows
    assert err.count("found before") == 2
    code, out, _ = run("plan", "--model", model, "--round-to", "1", "--ratios", str(rows[0]["ratio"]))
    assert code == 0


def test_prepare_makes_the_checkpoints_of_targets(run, tmp_path):
    """The checkpoints have the ratios found; a second run makes and searches nothing."""
    model = write_user_model(tmp_path, "prepare_nets")
    (tmp_path / "small.toml").write_text(
        'round_to = 1\nratios = [0.5]\n[train]\nepochs = 0\nprecision = "fp32"\n'
        '[fine_tune]\nepochs = 0\nprecision = "fp32"\n'
    )
    arguments = ("prepare", "--grid", "small.toml", "--model", model, "--target-params", "2x,1000x")
    code, out, err = run(*arguments)
    assert code == 0, err
    assert len(out.splitlines()) == 2
    assert "1000x fewer parameters is out of reach: ratio 0.9" in err
    code, again, err = run(*arguments)
    assert (code, again) == (0, out)
    assert "making" not in err


def test_nothing_in_reach_is_exit_code_2(run, tmp_path):
    """Both commands say what comes nearest."""
    model = write_user_model(tmp_path, "reach_nets")
    for command in ("plan", "prepare"):
        code, out, err = run(command, "--model", model, "--target-size-mb", "0.000001")
        assert (code, out) == (2, "")
        assert "error: no target can be met" in err
        assert "1e-06 MB is out of reach: ratio 0.8" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target-speedup", "4", "--ratios", "0.5"), "--ratios and --target-speedup: give one of them"),
        (("--target-speedup", "4"), "target_speedup: on which backend"),
        (("--target-speedup", "4", "--on", "eager,openvino"), "target_on: one backend"),
        (("--target-speedup", "4", "--on", "eagre"), "no backend 'eagre'. Did you mean 'eager'"),
        (("--on", "eager"), "target_on: says where times are to be reached"),
        (("--target-speedup", "4", "--on", "eager", "--scope", "global"), "need local scope"),
        (("--target-macs", "4x", "--method", "unstructured-l1"), "unstructured-l1 keeps every width"),
        (("--target-macs", "few"), "target_macs: a count, as 50M"),
        (("--search-again",), "--search-again: there is no target"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "prepare"])
def test_mistakes_are_one_line(run, command, arguments, said):
    """Nothing is built, and the exit code is 2."""
    code, out, err = run(command, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 2


def test_plan_finds_the_ratios_of_one_network_at_a_time(run):
    """Several networks, patterns or methods are refused in one line."""
    for more in (
        ("--model", "resnet18,mobilenet_v2"),
        ("--model", "torchvision:res*"),
        ("--method", "magnitude,random"),
    ):
        code, _, err = run("plan", *more, "--target-macs", "4x")
        assert code == 2
        assert "one network and one method at a time" in err

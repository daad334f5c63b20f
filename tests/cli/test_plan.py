"""`pruning-bench plan` for networks of a zoo, and for many at once."""

import csv
import io
import json

import pytest

from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


def test_one_network_is_planned_at_its_own_size(run):
    """Without --image the network's own size is taken: SqueezeNet has its published parameters and MACs."""
    arguments = ("plan", "--model", "torchvision:squeezenet1_1", "--ratios", "0.5", "--classes", "1000")
    code, out, _ = run(*arguments)
    assert code == 0
    name, macs, params, *_ = out.splitlines()[2].split()
    assert (name, params) == ("dense", "1.24")
    assert 0.34 < float(macs) < 0.37  # torchvision publishes 0.349, and counts no pooling
    small = json.loads(run(*arguments, "--image", "3x64x64", "--format", "json")[1])
    assert small[0]["macs"] < 50e6


@pytest.mark.slow
def test_a_matrix_goes_on_past_failures_and_resumes(run, tmp_path):
    """Rows are kept as they are done; exit code 2 tells that some failed; a second run plans those alone."""
    write_user_model(tmp_path, "plan_own")
    (tmp_path / "plan_late.py").write_text(
        "def build(classes, channels):\n    raise RuntimeError('not yet')\n"
    )
    arguments = (
        *("plan", "--model", "plan_late:build,plan_own:tiny_model", "--method", "magnitude,random"),
        *("--ratios", "0.5", "-o", "rows.json"),
    )
    code, out, err = run(*arguments, "--format", "json")
    assert code == 2
    assert err.splitlines()[-1] == "error: 2 of 4 could not be planned; their rows say why"
    rows = json.loads(out)
    assert rows == json.loads((tmp_path / "rows.json").read_text())
    assert [bool(row["error"]) for row in rows] == [True, True, False, False]
    (tmp_path / "plan_late.py").write_text("from plan_own import tiny_model as build\n")
    code, out, err = run(*arguments, "--format", "csv")
    assert code == 0
    assert [line.endswith("done before") for line in err.splitlines()] == [False, False, True, True]
    assert [row["error"] for row in csv.DictReader(io.StringIO(out))] == [""] * 4


@pytest.mark.slow
def test_one_network_with_a_limit(run, tmp_path):
    """A limit of time holds for one network too; its error is the command's."""
    (tmp_path / "plan_slow.py").write_text(
        "import time\ndef build(classes, channels):\n    time.sleep(600)\n"
    )
    code, out, err = run("plan", "--model", "plan_slow:build", "--ratios", "0.5", "--limit-s", "6")
    assert code == 2
    assert err.splitlines()[-1] == "error: not done after 6 s"
    assert "failed" in out


MISTAKES = {
    "pattern": (("--model", "torchvision:zz*"), "no model's name matches 'torchvision:zz*'"),
    "name in a list": (("--model", "resnet18,torchvision:resnet81"), "Did you mean 'torchvision:resnet18'"),
    "bare name": (("--model", "swin_t"), "Did you mean 'torchvision:swin_t'"),
    "twice": (("--model", "resnet18,resnet18"), "duplicates: resnet18"),
    "method in a list": (("--method", "magnitude,randm"), "Did you mean 'random'"),
    "scope of one": (
        ("--method", "magnitude,ln-structured", "--scope", "global"),
        "ln-structured has no scope 'global'",
    ),
    "channels": (("--model", "torchvision:squeezenet1_1", "--image", "1x64x64"), "3 channels, not 1"),
    "output": (("--model", "resnet18", "-o", "none/rows.json"), "there is no folder none"),
    "other file": (("--model", "resnet18", "-o", "notes.json"), "holds no rows of a matrix"),
    "limit": (("--model", "resnet18", "--limit-s", "0"), "--limit-s"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(run, tmp_path, name):
    """What is wrong is said before anything is planned."""
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    arguments, expected = MISTAKES[name]
    code, out, err = run("plan", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(("error: ", "Usage: "))
    assert expected in err
    assert (tmp_path / "notes.json").read_text() == '{"mine": 1}'

"""Each pruned network of a preview can be stored, trained and exported; where it cannot, that is said."""

import json

import pytest

from pruning_core.chain.preview_checks import CHECKS, make_check, parse_checks
from pruning_core.config.spec import MethodSpec
from pruning_core.errors import UnknownNameError
from pruning_core.pruning.preview import preview_networks
from pruning_core.pruning.step_table import render_steps
from tests.helpers.command_line import command_line

NETWORKS = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self, channels, classes, run):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 8, 3, 2), nn.Conv2d(8, 16, 3, 2)
        self.head, self.run = nn.Linear(16, classes), run
        self.factor = torch.rand(())  # neither a parameter nor a buffer

    def forward(self, x):
        return self.run(self, x)

def usual(m, x):
    return m.head(F.relu(m.b(F.relu(m.a(x)))).mean((2, 3)))

def branching(m, x):
    return usual(m, x) if x.abs().sum() == 0 else usual(m, x).flip(1)

def sound(classes, channels):
    return Net(channels, classes, usual)

def forgetful(classes, channels):
    return Net(channels, classes, lambda m, x: usual(m, x) * (1 + m.factor))

def untrainable(classes, channels):
    return Net(channels, classes, lambda m, x: m.nothing(x) if m.training else usual(m, x))

def not_traceable(classes, channels):
    return Net(channels, classes, branching)
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Stand in a folder with a module of networks; return its name, which is this test's alone."""
    name = f"checked_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    return name


def steps_of(model, *ratios):
    """Return the steps of a chain, with all checks."""
    check = make_check(tuple(CHECKS), model, 10, (3, 32, 32))
    return [step for step, _ in preview_networks(model, MethodSpec(), ratios, check=check)]


def test_a_sound_network_passes_all(networks):
    """It is loaded, trained and exported at each ratio, and is pruned as without checks."""
    model = f"{networks}:sound"
    steps = steps_of(model, 0.5, 0.75)
    assert [step.checks for step in steps] == [dict.fromkeys(CHECKS, True)] * 2
    assert [step.error for step in steps] == ["", ""]
    plain = (step for step, _ in preview_networks(model, MethodSpec(), (0.5, 0.75)))
    assert [step.widths for step in steps] == [step.widths for step in plain]
    assert "reload, train, onnx" in render_steps(steps, "terminal")
    assert "check:reload,check:train,check:onnx" in render_steps(steps, "csv")


@pytest.mark.parametrize(
    ("function", "check", "said", "is_error"),
    [
        ("forgetful", "reload", "it answers otherwise when it is loaded", True),
        ("untrainable", "train", "the network cannot take a training step", True),
        ("not_traceable", "onnx", "does not answer as the model does", False),
    ],
)
def test_what_does_not_work_is_said(networks, function, check, said, is_error):
    """The check that fails says why, the others pass; an export that fails is no error."""
    (step,) = steps_of(f"{networks}:{function}", 0.5)
    assert said in step.checks[check]
    assert {name for name, found in step.checks.items() if found is not True} == {check}
    assert step.error.startswith(f"{check}: ") is is_error
    assert bool(step.error) is is_error


def test_the_command_fails_where_a_check_does(networks, monkeypatch, capsys):
    """The table is shown, then one line and exit code 2; also in a file of many, where the row has it."""
    run = command_line(monkeypatch, capsys)
    arguments = ("plan", "--model", f"{networks}:forgetful", "--ratios", "0.5", "--check", "train,reload")
    code, out, err = run(*arguments)
    assert (code, "train" in out) == (2, True)
    assert err.startswith("error: ratio 0.5: reload: it answers otherwise")
    code, out, _ = run(*arguments, "-o", "rows.json", "--format", "json")
    (row,) = json.loads(out)
    assert code == 2
    assert row["error"].startswith("reload: it answers otherwise")
    assert row["check"] == ["reload", "train"]
    assert row["checks"]["train"] is True
    assert row["macs"] > 0


def test_names_of_checks():
    """Any order is allowed, an unknown name is refused."""
    assert parse_checks("train, reload") == ("reload", "train")
    with pytest.raises(UnknownNameError, match="Did you mean 'reload'"):
        parse_checks("train,relaod")

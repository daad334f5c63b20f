"""`plan` and `prepare` with trained weights."""

import json

import pytest
import torch

from tests.helpers.command_line import command_line
from tests.helpers.factories import Tiny, write_user_model


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Stand in a folder with a network and weights for it; return a function that runs the command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(tmp_path / "store"))
    torch.manual_seed(7)
    write_user_model(tmp_path, "cli_weight_nets")
    state = Tiny(4).state_dict()
    state["inner.weight"][:24] *= 1e-3  # of its channels, most say little
    torch.save(state, "best.pt")
    return command_line(monkeypatch, capsys)


MODEL = "--model=cli_weight_nets:tiny_model"


def test_plan_ranks_the_weights_and_knows_their_classes(run):
    """In global scope the widths follow from the weights; the number of classes is theirs unless said."""
    options = (MODEL, "--ratios=0.4", "--scope=global", "--format=json")
    code, output, _ = run("plan", *options, "--weights=best.pt")
    assert code == 0
    (step,) = json.loads(output)
    assert step["widths"]["fc"] == 4
    code, output, _ = run("plan", *options)
    assert json.loads(output)[0]["widths"]["inner"] > step["widths"]["inner"]


def test_plan_of_several_takes_weights_for_each(run, tmp_path):
    """Each in a process of its own; the rows name the file by its hash, and are not mixed with others."""
    options = ("--method=magnitude,random", "--ratios=0.5", "--classes=4", "--format=json", "-o", "rows.json")
    code, _, _ = run("plan", MODEL, *options, "--weights=best.pt")
    assert code == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["error"] for row in rows] == ["", ""]
    theirs = tuple(option for option in options[:-1] if not option.startswith("--classes"))
    code, _, errors = run("plan", MODEL, *theirs, "theirs.json", "--weights=best.pt")
    assert code == 0, errors
    assert {row["classes"] for row in json.loads((tmp_path / "theirs.json").read_text())} == {4}
    assert {row["weights"].partition(" ")[0] for row in rows} == {"best.pt"}
    code, _, errors = run("plan", MODEL, *options)
    assert code == 2
    assert "rows.json answers another question" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--classes=5"], "they are of 4 classes, and here are 5"),
        (["--strip-prefix=a."], "no name begins with 'a.'"),
        (
            ["--model=cli_weight_nets:tiny_model,resnet18"],
            "one file cannot hold the weights of 2 networks; name",
        ),
    ],
)
def test_plan_refuses_what_does_not_fit(run, arguments, said):
    """One line, exit code 2."""
    code, output, errors = run("plan", MODEL, "--weights=best.pt", "--ratios=0.5", *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("error: ")
    assert said in errors


def test_plan_makes_a_new_head_where_it_is_asked_for(run):
    """With it another number of classes is planned."""
    options = (MODEL, "--ratios=0.5", "--classes=5", "--format=json", "--weights=best.pt", "--new-head")
    code, output, _ = run("plan", *options)
    assert code == 0
    assert json.loads(output)[0]["widths"]["fc"] == 5


def test_prepare_takes_a_grid_with_weights(run, tmp_path):
    """A key of the grid file is the option's; of what is wrong in it the line is named."""
    grid = tmp_path / "mine.toml"
    text = 'model = "cli_weight_nets:tiny_model"\nratios = [0.5]\nnew_head = true\n@\n[train]\nepochs = 1\n'
    grid.write_text(text.replace("@", 'weights = {"resnet18" = "best.pt"}'))
    code, _, errors = run("prepare", "--grid", grid)
    assert code == 2
    assert "no model of this grid is called 'resnet18'; its models: cli_weight_nets:tiny_model" in errors
    assert "line 4" in errors
    grid.write_text(text.replace("@", 'weights = {"cli_weight_nets:tiny_model" = "best.pt"}'))
    code, output, errors = run("prepare", "--grid", grid)
    assert code == 0, errors
    assert len(output.splitlines()) == 2
    assert "train cli_weight_nets:tiny_model on digits, 1 epochs" in errors

"""`pruning-bench explain`: what it is given, and what it refuses in one line."""

import json

import pytest

from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name what is to be explained"),
        (("abcdef", "--model", "resnet18", "--ratio", "0.5"), "name what is to be explained"),
        (("--model", "resnet18"), "--model needs --ratio"),
        (("--model", "resnet18", "--ratio", "0.5", "--cell", "x"), "--cell: of a results FILE"),
        (("--model", "resnet18", "--ratio", "0.5", "--backend", ""), "no backend with a profile"),
        (("abcdef", "--round-to", "8"), "--round-to: only with --model"),
        (("--model", "resnet18", "--ratio", "0.5", "--backend", "compile"), "no backend with a profile"),
        (("--model", "resnet18", "--ratio", "0.5", "--backend", "eager:int8"), "no precision 'int8'"),
        (("--model", "resnet18", "--ratio", "0.5", "--method", "magnitud"), "Did you mean 'magnitude'"),
        (("--model", "resnet18", "--ratio", "0.5", "--method", "unstructured-l1"), "sets weights to zero"),
        (("--model", "resnet18", "--ratio", "0.5", "--image", "3x32"), "--image"),
        (("--model", "resnet", "--ratio", "0.5"), "no model 'resnet'"),
        (("--model", "resnet18,vgg16_bn", "--ratio", "0.5"), "--model: one at a time"),
        (("--model", "resnet18", "--ratio", "0.5", "--method", "magnitude,lamp"), "--method: one at a time"),
        (("--model", "resnet18", "--ratio", "nan"), "not a number"),
        (("no-such-thing",), "is no key"),
        (("--model", "resnet18", "--ratio", "0.5", "-o", "gone/x.json"), "gone"),
    ],
)
def test_a_mistake_is_one_line(run, arguments, said):
    """Exit code 2 and a line that says what to do, before anything is measured."""
    code, out, errors = run("explain", *arguments)
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors
    assert out == ""


@pytest.mark.slow
def test_a_shape_that_nobody_trained_is_explained(run, tmp_path):
    """A user's own network, as a table and as JSON; the page shows what was stored."""
    write_user_model(tmp_path, "explain_own")
    arguments = ("explain", "--model", "explain_own:tiny_model", "--ratio", "0.5", "--rounds", "6")
    code, out, errors = run(*arguments, "--format", "json", "-o", "why.json")
    assert (code, out) == (0, "")
    content = json.loads((tmp_path / "why.json").read_text())
    assert content["what"] == "pruning-bench explain"
    assert content["backend"] == "eager"
    assert "profile on eager:fp32, batch 1" in errors

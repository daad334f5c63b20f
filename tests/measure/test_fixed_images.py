"""A loaded network answers as it did when it was stored, or is refused in one line."""

import json
import math
import sys

import pytest
import torch

from pruning_core.chain import networks
from pruning_core.chain.networks import load_network
from pruning_core.errors import ModelError
from pruning_core.measure.fixed_images import answer, check_answer
from pruning_core.store.checkpoint import Metrics
from tests.helpers.factories import Tiny, made
from tests.helpers.small_runs import grid_of, make_all, open_workspace

EXAMPLE = torch.zeros(1, 3, 32, 32)
NETS = """
import json
from pathlib import Path
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 8, 3, 2), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, classes)
        {init}
    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x)))).mean((2, 3))
        {forward}
        return self.fc(x)
def build(classes, channels):
    return Net(classes, channels)
"""


def write(folder, monkeypatch, module, init="pass", forward="pass"):
    """Write a user's network and stand in its folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / f"{module}.py").write_text(NETS.format(init=init, forward=forward))
    return f"{module}:build"


def test_a_network_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    """What a network reads when it runs is in no key: it shows when the checkpoint is loaded."""
    forward = "x = x * json.loads(Path('scale.json').read_text())"
    name = write(tmp_path, monkeypatch, "answers_a", forward=forward)
    (tmp_path / "scale.json").write_text("1.0")
    checkpoint = make_all(grid_of(name, ratios="0.5"), open_workspace(tmp_path))[-1]
    load_network(checkpoint)
    monkeypatch.setattr(networks, "_answered", set())  # as a new process
    load_network(checkpoint)
    (tmp_path / "scale.json").write_text("0.5")
    monkeypatch.setattr(networks, "_answered", set())
    with pytest.raises(ModelError, match="does not answer as it did when it was stored") as caught:
        load_network(checkpoint)
    assert "\n" not in str(caught.value)
    assert str(checkpoint.path) in str(caught.value)
    assert checkpoint.key in str(caught.value)


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        ("self.register_buffer('m', torch.rand(8), persistent=False)", "x = x * self.m"),
        ("self.m = torch.rand(8)", "x = x * self.m"),
        ("self.m = float(torch.rand(()))", "x = x * self.m"),
    ],
)
def test_what_a_state_dict_does_not_hold_is_refused_when_it_is_made(tmp_path, monkeypatch, init, forward):
    """A network that another one with its weights does not answer as is not stored."""
    name = write(tmp_path, monkeypatch, f"answers_{abs(hash(init))}", init, forward)
    grid = grid_of(name, train={"epochs": 0, "seed": 5})
    with pytest.raises(ModelError, match="answers otherwise when its weights are loaded") as caught:
        make_all(grid, open_workspace(tmp_path))
    assert "\n" not in str(caught.value)


def test_chance_in_evaluation_is_no_difference(tmp_path, monkeypatch):
    """A network that always drops out answers alike under one seed."""
    forward = "x = torch.nn.functional.dropout(x, 0.3)"
    name = write(tmp_path, monkeypatch, "answers_b", forward=forward)
    for checkpoint in make_all(grid_of(name, ratios="0.5"), open_workspace(tmp_path)):
        assert not load_network(checkpoint).training  # it was not refused


def test_an_answer_is_the_same_twice_and_leaves_no_trace():
    """It is of two images, leaves the mode and the generator alone, and holds what a network is."""
    network = Tiny().train()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first = answer(network, EXAMPLE)
    assert torch.equal(torch.rand(2), expected)
    assert network.training
    assert len(first) == 20
    assert answer(network, EXAMPLE) == first
    with torch.no_grad():
        network.fc.bias[3] += 0.1
    assert answer(network, EXAMPLE) != first


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda a: [x * (1 + 1e-5) for x in a], True),
        (lambda a: [*a[:-1], a[-1] + 0.01 * max(map(abs, a))], False),
        (lambda a: [*a[:-1], None], False),
        (lambda a: a[:-1], False),
        (lambda a: None, True),
    ],
)
def test_rounding_is_no_difference_and_all_else_is(change, same):
    """A thousandth of the largest logit is rounding; more, another number of logits, or none is not."""
    network = Tiny()
    stored = change(list(answer(network, EXAMPLE)))
    if same:
        check_answer(network, EXAMPLE, stored, "it")
    else:
        with pytest.raises(ModelError, match="it "):
            check_answer(network, EXAMPLE, stored, "it")


def test_a_network_that_answers_no_numbers_answers_so_again():
    """Logits that are no numbers are stored, read and compared as what they are."""
    network = Tiny()
    with torch.no_grad():
        network.fc.bias[3] = math.nan
        network.fc.bias[4] = math.inf
    metrics = Metrics(**{**made().metrics.model_dump(), "answers": answer(network, EXAMPLE)})
    assert metrics.answers.count(None) == 4
    read = Metrics.model_validate_json(json.dumps(metrics.model_dump(mode="json")))
    check_answer(network, EXAMPLE, read.answers, "it")


def test_earlier_checkpoints_hold_no_answer():
    """Metrics of an earlier version are read; there is nothing to check then."""
    content = made().metrics.model_dump(mode="json")
    del content["answers"]
    assert Metrics.model_validate_json(json.dumps(content)).answers is None

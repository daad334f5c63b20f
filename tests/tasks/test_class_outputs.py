"""What a network returns in training: the main logits are trained on, auxiliary ones with less weight."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pruning_core.config.spec import TrainSpec
from pruning_core.errors import TrainingError
from pruning_core.models.inspect import check_output
from pruning_core.tasks.class_outputs import Outputs
from pruning_core.tasks.classification import Classification
from pruning_core.torchvision_compat import models
from pruning_core.training.loop import train
from pruning_core.training.step import Distillation
from tests.helpers.factories import bright_images
from tests.helpers.small_trainings import same

Named = namedtuple("Named", ["logits", "aux2", "aux1"])


@dataclass
class Answer:
    """What a network may return."""

    loss: object
    logits: torch.Tensor
    hidden: tuple


class Heads(nn.Module):
    """A main head and two auxiliary ones; in training it returns what `join` makes of them and features."""

    def __init__(self, join, drop=0.5):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Dropout(drop)
        self.main, self.a, self.b = nn.Linear(8, 10), nn.Linear(8, 10), nn.Linear(8, 10)
        self.join = join

    def forward(self, x):
        maps = F.relu(self.norm(self.conv(x)))
        flat = self.drop(maps.mean((2, 3)))
        main = self.main(flat)
        return self.join(main, self.a(flat), self.b(flat), maps) if self.training else main


KINDS = {
    "logits": (lambda m, a, b, f: m, ""),
    "tuple": (lambda m, a, b, f: (m, a), "a"),
    "main last": (lambda m, a, b, f: (a, b, m), "ab"),
    "named tuple": (lambda m, a, b, f: Named(m, a, b), "ab"),
    "named tuple with none": (lambda m, a, b, f: Named(m, None, b), "b"),
    "list in list": (lambda m, a, b, f: [m, [a, b]], "ab"),
    "dict": (lambda m, a, b, f: {"aux": a, "out": m, "features": f}, "a"),
    "dict of logits": (lambda m, a, b, f: {"logits": m}, ""),
    "dataclass": (lambda m, a, b, f: Answer(None, m, (f,)), ""),
    "tuple of one": (lambda m, a, b, f: (m,), ""),
    "twice": (lambda m, a, b, f: {"out": m, "logits": m, "aux": a}, "a"),
    "with a number": (lambda m, a, b, f: (m, f.square().mean()), ""),
    "with features": (lambda m, a, b, f: (f.mean((2, 3)), m), ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_main_answer_is_the_one_of_evaluation(kind):
    """Wherever it stands; other logits count 0.4 where they are alone, else 0.3 each."""
    torch.manual_seed(0)
    join, auxiliary = KINDS[kind]
    network = Heads(join, drop=0.0).train()
    images, labels = torch.randn(6, 3, 16, 16), torch.arange(6)
    flat = F.relu(network.norm(network.conv(images))).mean((2, 3))
    outputs = Outputs(network, 10)
    output = network(images)
    main, others = outputs.split(output, images)
    torch.testing.assert_close(main, network.main(flat))
    assert len(others) == len(auxiliary)
    expected = F.cross_entropy(main, labels, label_smoothing=0.1)
    for name in auxiliary:
        weight = 0.4 if len(auxiliary) == 1 else 0.3
        answer = getattr(network, name)(flat)
        expected = expected + weight * F.cross_entropy(answer, labels, label_smoothing=0.1)
    torch.testing.assert_close(outputs.loss(output, images, labels, 0.1), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_with_auxiliary_heads_train(kind):
    """The loop trains them, with dropout and batch norm, also on a batch of one more image."""
    torch.manual_seed(0)
    network = Heads(KINDS[kind][0])
    heads = (network.main, network.a, network.b)
    before = [head.weight.detach().clone() for head in heads]
    spec = TrainSpec(epochs=1, batch_size=59, precision="fp32", device="cpu", weight_decay=0.0)
    train(network, Classification(bright_images()), spec)
    moved = [not torch.equal(w, h.weight) for w, h in zip(before, heads, strict=True)]
    assert moved == [True, "a" in KINDS[kind][1], "b" in KINDS[kind][1]]


def test_finding_the_main_answer_changes_nothing():
    """Neither statistics nor the mode of a layer nor what dropout draws next."""
    network = Heads(KINDS["main last"][0]).train()
    images = torch.randn(6, 3, 16, 16)
    output = network(images)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.random.get_rng_state()
    Outputs(network, 10).split(output, images)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(layer.training for layer in network.modules())
    assert torch.equal(drawn, torch.random.get_rng_state())


def test_a_main_answer_unlike_that_of_evaluation_goes_by_its_name():
    """Where the answers differ from that of evaluation, one called logits is the main one, else the first."""
    named = Heads(lambda m, a, b, f: {"aux": a, "logits": 2 * m + 1}).train()
    images = torch.randn(4, 3, 16, 16)
    output = named(images)
    assert Outputs(named, 10).split(output, images)[0] is output["logits"]
    plain = Heads(lambda m, a, b, f: (2 * m + 1, a)).train()
    output = plain(images)
    assert Outputs(plain, 10).split(output, images)[0] is output[0]


@pytest.mark.parametrize(
    ("join", "got"),
    [
        (lambda m, a, b, f: None, "got NoneType of no tensor"),
        (lambda m, a, b, f: m[:, :, None], "got 4×10×1"),
        (lambda m, a, b, f: {"features": f}, "got dict of features 4×8×8×8"),
        (lambda m, a, b, f: (m.argmax(1), f.mean()), "got tuple of 0 4, 1 a number"),
    ],
)
def test_no_logits_in_training_is_one_line(join, got):
    """It says which shape is wanted and what came instead."""
    network, images = Heads(join).train(), torch.randn(4, 3, 16, 16)
    with pytest.raises(TrainingError) as caught:
        Outputs(network, 10).split(network(images), images)
    assert "must return logits of 4×10" in str(caught.value)
    assert got in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_teacher_that_decides_alone_decides_for_the_main_head():
    """With all of the loss distilled, auxiliary heads, which follow labels, do not learn."""
    torch.manual_seed(0)
    network, teacher = Heads(KINDS["tuple"][0]), Heads(KINDS["tuple"][0])
    before = {name: tensor.clone() for name, tensor in network.a.state_dict().items()}
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu", weight_decay=0.0)
    main = network.main.weight.detach().clone()
    train(network, Classification(bright_images()), spec, distillation=Distillation(teacher, 1.0, 2.0))
    assert same(before, network.a.state_dict())
    assert not torch.equal(main, network.main.weight)


def test_a_lazy_auxiliary_head_gets_its_weights_when_it_is_built():
    """A layer that runs in training alone is run once, and no norm learns from that."""
    network = Heads(KINDS["tuple"][0])
    network.a = nn.LazyLinear(10)
    check_output(network, "lazy", 10, (3, 16, 16))
    assert network.a.weight.shape == (10, 8)
    assert network.norm.num_batches_tracked == 0
    assert all(layer.training for layer in network.modules())


@pytest.mark.parametrize(("name", "size", "auxiliary"), [("googlenet", 64, 2), ("inception_v3", 299, 1)])
def test_torchvisions_networks_with_auxiliary_heads(name, size, auxiliary):
    """Of their named tuples the field called logits is the main answer."""
    torch.manual_seed(0)
    network = getattr(models, name)(num_classes=10, init_weights=False).train()
    images = torch.randn(2, 3, size, size)
    output = network(images)
    main, others = Outputs(network, 10).split(output, images)
    assert main is output.logits
    assert len(others) == auxiliary

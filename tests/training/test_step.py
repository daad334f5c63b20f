"""One step: its batch, its loss, what it may change."""

import hashlib

import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import make_batch
from pruning_core.tasks.classification import Classification
from pruning_core.training import step
from pruning_core.training.loop import train
from pruning_core.training.step import Distillation, TrainStep
from tests.helpers.factories import DIGITS_8, Tiny, bright_images
from tests.helpers.small_trainings import same, train_small


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


@pytest.mark.parametrize(("augment", "columns"), [(True, 4), (False, 1)])
def test_a_step_makes_its_batch_of_what_was_drawn(images, augment, columns):
    """An epoch draws indices, and with augmentation shifts and mirrors; a step takes nothing else."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu", augment=augment)
    train_step = TrainStep(Tiny(), Classification(images), spec)
    choices = train_step.sample_epoch(3)
    assert [tuple(part.shape) for part in choices] == [(size, columns) for size in (16, 16, 16, 12)]
    assert torch.cat(choices)[:, 0].sort().values.tolist() == list(range(60))
    assert all(torch.equal(a, b) for a, b in zip(choices, train_step.sample_epoch(3), strict=True))
    seen = []
    train_step.network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for part in choices:
        train_step.step(part)
    expected, _ = make_batch(images.train, images.spec, choices[1], "cpu")
    assert torch.equal(seen[1], expected)
    assert train_step.data_s > 0


@pytest.mark.parametrize("chosen", ["channels_last", "contiguous"])
def test_training_lies_in_memory_as_the_machine_asks(images, monkeypatch, chosen):
    """Images and weights are in the format that `training_memory_format` gives, and the result says which."""
    memory_format = torch.channels_last if chosen == "channels_last" else torch.contiguous_format
    monkeypatch.setattr("pruning_core.training.step.training_memory_format", lambda _: memory_format)
    seen = []

    class Watching(Tiny):
        def forward(self, images):
            if len(images) > 2:  # a batch; on two the network is tried in both formats
                for tensor in (images, self.inner.weight):
                    seen.append(tensor.is_contiguous(memory_format=memory_format))
            return super().forward(images)

    _, _, result = train_small(images, kind=Watching)
    assert result.memory_format == chosen
    assert seen
    assert all(seen)


def test_norms_and_biases_do_not_decay(images):
    """With gradients out of the way, weight decay shrinks weights and leaves norms and biases."""
    blank = Split(torch.zeros(16, 3, 32, 32, dtype=torch.uint8), torch.zeros(16, dtype=torch.int64))
    dataset = Dataset(DIGITS_8, images.class_names, blank, blank)
    torch.manual_seed(1)
    network = Tiny()
    with torch.no_grad():
        network.fc.weight.zero_()  # no gradient reaches the layers before it
        before = {name: p.clone() for name, p in network.named_parameters()}
    spec = TrainSpec(epochs=1, batch_size=16, lr_schedule="constant", learning_rate=1.0, weight_decay=0.1)
    train(network, Classification(dataset), spec.model_copy(update={"precision": "fp32"}))
    assert network.inner.weight.norm() < before["inner.weight"].norm()
    assert torch.equal(network.norm.weight, before["norm.weight"])
    assert torch.equal(network.outer.bias, before["outer.bias"])


def test_zeros_stay_zero_and_the_rest_learns(images):
    """A weight that is held at zero is zero after training; momentum and decay do not wake it."""
    torch.manual_seed(1)
    network = Tiny()
    before = network.inner.weight.detach().clone()
    zero = torch.rand(before.shape) < 0.5
    with torch.no_grad():
        network.inner.weight.masked_fill_(zero, 0.0)
    train(
        network,
        Classification(images),
        TrainSpec(epochs=1, batch_size=16),
        frozen_zeros={"inner.weight": zero},
    )
    after = network.inner.weight.detach()
    assert torch.equal(after == 0, zero)
    assert not torch.equal(after[~zero], before[~zero])


def with_other_labels(images):
    """Return the same images, each with the label of another class."""
    split = Split(images.train.images, (images.train.labels + 3) % 10)
    return Dataset(images.spec, images.class_names, split, split)


@pytest.mark.parametrize(("weight", "labels_count"), [(1.0, False), (0.5, True), (0.0, True)])
def test_distillation_takes_its_share_of_the_loss(images, weight, labels_count):
    """With all of the loss the teacher alone decides, and labels do nothing; with a part, both count."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32")
    torch.manual_seed(7)
    teacher = Tiny()

    def student(dataset, distillation):
        torch.manual_seed(1)
        network = Tiny()
        train(network, Classification(dataset), spec, distillation=distillation)
        return network.state_dict()

    taught = student(images, Distillation(teacher, weight, 2.0))
    assert (
        same(taught, student(with_other_labels(images), Distillation(teacher, weight, 2.0))) != labels_count
    )
    assert same(taught, student(images, None)) == (weight == 0.0)
    assert not teacher.training


def test_a_student_comes_nearer_to_its_teacher(images):
    """Trained on nothing but a teacher's answers, a network gives answers more like those."""
    torch.manual_seed(7)
    teacher = Tiny()
    torch.manual_seed(1)
    network = Tiny()
    inputs = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(2))

    def distance():
        with torch.no_grad():
            return (network.eval()(inputs) - teacher.eval()(inputs)).square().mean().item()

    before = distance()
    train(
        network,
        Classification(images),
        TrainSpec(epochs=8, batch_size=16),
        distillation=Distillation(teacher, 1.0, 2.0),
    )
    assert distance() < before


class Graph:
    """Stands for a CUDA graph: notes what a call is given, and calls the function."""

    captured = True

    def __init__(self, function, stream):
        self.function, self.shapes = function, []

    def __call__(self, *inputs):
        self.shapes.append([tuple(tensor.shape) for tensor in inputs])
        return self.function(*inputs)


@pytest.mark.parametrize(
    ("device", "given"), [("cpu", [(16, 4)]), ("meta", [(16, 3, 32, 32), (16,)])], ids=["there", "elsewhere"]
)
def test_a_graph_holds_the_batch_where_the_images_are(images, monkeypatch, device, given):
    """Of images on the device the graph makes the batch too; others are moved first, outside of it."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu")
    losses = []
    for graphed in (False, True):
        torch.manual_seed(1)
        train_step = TrainStep(Tiny(), Classification(images), spec)
        if graphed:
            monkeypatch.setattr(step, "GraphedCallable", Graph)
            monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
            optimizers, train_step.optimizers = train_step.optimizers, []  # their rates stay on the CPU
            train_step.device = torch.device(device)
            train_step._use_graph()
            train_step.device, train_step.optimizers = torch.device("cpu"), optimizers
        losses.append([float(train_step.step(choices)) for choices in train_step.sample_epoch(0)[:2]])
        assert train_step.graphed == graphed
    assert losses[0] == losses[1]
    graph = train_step._step_graph or train_step._learn_graph
    assert graph.shapes == [given, given]


@pytest.mark.parametrize(("augment", "expected"), [(True, "bf8bad2e6a3536b5"), (False, "b23409f39c5e6e59")])
def test_what_is_drawn_for_a_seed_never_changes(augment, expected):
    """Another order or augmentation would give other weights under the same key."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu", augment=augment, seed=3)
    choices = torch.cat(
        TrainStep(Tiny(), Classification(bright_images(crop_padding=2)), spec).sample_epoch(2)
    )
    assert hashlib.sha256(choices.contiguous().numpy().astype("<i8").tobytes()).hexdigest()[:16] == expected

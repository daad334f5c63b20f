"""The two training steps that are compared: same network, same images, both really train."""

import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import make_batch
from pruning_core.suites.training_speed import BaselineStep, TrainerStep
from pruning_core.tasks.classification import Classification
from tests.helpers.factories import DIGITS_8, Tiny

SPEC = TrainSpec(batch_size=16, learning_rate=0.02, precision="fp32", device="cpu")


@pytest.fixture
def images():
    """Fifty images, so that the last batch of an epoch would be smaller; brightness tells the class."""
    labels = torch.arange(50) % 10
    pixels = (labels.view(-1, 1, 1, 1) * 23 + torch.zeros(50, 3, 32, 32)).to(torch.uint8)
    split = Split(pixels, labels)
    return Dataset(DIGITS_8, tuple("0123456789"), split, split)


@pytest.fixture(params=[TrainerStep, BaselineStep])
def step(request, images):
    """One of the two, over a small network."""
    torch.manual_seed(1)
    taken = Classification(images) if request.param is TrainerStep else images
    return request.param(Tiny(), taken, SPEC)


def test_a_call_takes_a_step(step):
    """The loss falls over calls that go on through several epochs."""
    losses = [float(step()) for _ in range(30)]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_the_network_stays_as_it_is(images):
    """Each of the two trains a copy: the next one starts from the same weights."""
    network = Tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for step in (TrainerStep(network, Classification(images), SPEC), BaselineStep(network, images, SPEC)):
        step()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_every_step_has_a_whole_batch(images, monkeypatch):
    """A smaller last batch of an epoch is left out: all samples are of one size."""
    ours = TrainerStep(Tiny(), Classification(images), SPEC)
    sizes = []
    take = ours._step.step
    monkeypatch.setattr(ours._step, "step", lambda choices: (sizes.append(len(choices)), take(choices))[1])
    for _ in range(8):
        ours()
    assert sizes == [16] * 8


def test_both_see_the_same_pixels(images):
    """Image by image or in whole batches, a training image is normalised to the same values."""
    baseline = BaselineStep(Tiny(), images, SPEC)
    ours = TrainerStep(Tiny(), Classification(images), SPEC.model_copy(update={"augment": False}))
    one, label = baseline._loader.dataset[7]
    batch, labels = make_batch(images.train, images.spec, next(ours._choices), "cpu")
    index = int((labels == label).nonzero()[0])
    assert torch.allclose(batch[index], one, atol=1e-5)


def test_time_to_fetch_is_part_of_the_step(images):
    """What was spent on batches is counted, and is less than the whole."""
    ours = TrainerStep(Tiny(), Classification(images), SPEC)
    assert ours.data_share == 0
    ours()
    assert 0 < ours.data_share < 1

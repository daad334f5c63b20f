"""Training: the same every time, resumable after each epoch, and no weight decay where it does harm."""

import random

import numpy as np
import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.errors import TrainingError
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from tests.helpers.factories import Tiny, bright_images
from tests.helpers.kinds_of_networks import KINDS
from tests.helpers.small_trainings import WithDropout, same, train_small


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_spec_gives_the_same_weights(images, precision):
    """Two trainings from one spec agree to the last bit, whatever was drawn in between."""
    first, _, _ = train_small(images, precision=precision)
    torch.rand(11)
    second, _, _ = train_small(images, precision=precision)
    assert same(first, second)


@pytest.mark.parametrize(
    "field", [{"seed": 1}, {"augment": False}, {"weight_decay": 0.1}, {"nesterov": False}]
)
def test_each_choice_counts(field):
    """Seed, augmentation, weight decay and momentum each change what comes out."""
    dataset = bright_images(crop_padding=2)
    assert not same(train_small(dataset)[0], train_small(dataset, **field)[0])


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_is_as_if_never_interrupted(images, epoch, precision):
    """From the state after any epoch the rest gives the same weights and losses to the last bit."""
    whole, states, result = train_small(images, kind=WithDropout, precision=precision)
    resumed, later, resumed_result = train_small(
        images, kind=WithDropout, precision=precision, resume=states[epoch - 1]
    )
    assert same(whole, resumed)
    assert resumed_result.losses == result.losses
    assert [state.epoch for state in later] == list(range(epoch + 1, 3))


class Chancy(Tiny):
    """Skips a layer now and then, by chance of Python's and numpy's."""

    def forward(self, images):
        """(N, 3, H, W) -> (N, classes)."""
        if self.training:
            images = images * (1.0 + (random.random() < 0.5)) + float(np.random.rand())
        return super().forward(images)


def test_chance_of_python_and_numpy_is_seeded_too(images):
    """Two processes, or a resumed one, train the same network; draws of the user's own go on as before."""
    random.seed(1)
    whole, states, _ = train_small(images, kind=Chancy)
    drawn = random.random()
    random.seed(1)
    assert random.random() == drawn
    random.seed(2)
    np.random.seed(2)
    assert same(whole, train_small(images, kind=Chancy)[0])
    assert same(whole, train_small(images, kind=Chancy, resume=states[0])[0])


def test_a_network_that_loads_by_its_version_is_resumed(images):
    """The state keeps what a layer needs to know of how it was written, as torchvision's MNASNet does."""
    kind = KINDS["version of a state"][0]
    whole, states, _ = train_small(images, kind=kind)
    assert same(whole, train_small(images, kind=kind, resume=states[0])[0])


def test_it_learns(images):
    """The loss falls."""
    _, _, result = train_small(images, epochs=8, label_smoothing=0.0)
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert len(result.losses) == 8


def test_a_loss_that_is_no_number_stops_it(images):
    """A training that diverges says what to lower."""
    with pytest.raises(TrainingError, match=r"no longer a number after epoch \d; lower learning_rate"):
        train_small(images, learning_rate=1e30)


def test_overhead_is_counted(images):
    """Batches and saved states are part of the seconds, and counted apart; a resumed training goes on."""
    _, states, result = train_small(images)
    assert 0 < result.overhead_s < result.seconds
    assert 0 < states[0].overhead_s < states[1].overhead_s < result.overhead_s
    _, _, resumed = train_small(images, resume=states[1])
    assert resumed.overhead_s > states[1].overhead_s


@pytest.mark.parametrize(("every_s", "epochs"), [(0.0, [1, 2]), (1e9, [])])
def test_states_are_saved_no_more_often_than_asked(images, every_s, epochs):
    """A state is large: where epochs are short, not each of them is followed by one."""
    saved = []
    spec = TrainSpec(epochs=3, batch_size=16, precision="fp32")
    train(
        Tiny(),
        Classification(images),
        spec,
        on_epoch=lambda state: saved.append(state.epoch),
        save_every_s=every_s,
    )
    assert saved == epochs

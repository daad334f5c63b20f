"""A training with a penalty: what is not needed gets smaller, nothing else differs, and it can be resumed."""

import pytest
import torch

from pruning_core.config.spec import MethodSpec, TrainSpec
from pruning_core.pruning.step import prune
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from tests.helpers.factories import Tiny, bright_images
from tests.helpers.penalties import DEAD, half_dead, regularization
from tests.helpers.small_trainings import same

PREPARED = ["slimming", "group-norm", "growing-reg"]


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


def train_on(images, name, strength, *, kind=Tiny, resume=None, **fields):
    """Train a network with the penalty of a method; return it, and the states after its epochs."""
    torch.manual_seed(1)
    network, states = kind(), []
    told = None if name is None else regularization(name, network, strength)
    spec = TrainSpec(
        **{"epochs": 3, "batch_size": 16, "precision": "fp32", "weight_decay": 0.0, "device": "cpu", **fields}
    )
    train(network, Classification(images), spec, regularization=told, resume=resume, on_epoch=states.append)
    return network, states


@pytest.mark.parametrize("name", PREPARED)
def test_strength_0_is_a_training_like_any_other(images, name):
    """To the last bit."""
    plain, _ = train_on(images, None, 0.0)
    assert same(plain.state_dict(), train_on(images, name, 0.0)[0].state_dict())
    assert not same(plain.state_dict(), train_on(images, name, 0.01)[0].state_dict())


def sizes(name, network):
    """Return how large the channels of `half_dead` are, as the method ranks them."""
    with torch.no_grad():
        if name == "slimming":
            return network[1].weight.abs()
        return (
            network[0].weight.square().sum((1, 2, 3))
            + network[1].weight ** 2
            + network[5].weight.square().sum(0)
        )


@pytest.mark.parametrize("name", PREPARED)
def test_channels_that_are_not_needed_get_smaller(images, name):
    """Those that are never active stay as they are without a penalty, and with one they shrink.

    A decay drives them below the others, so that the cut changes no answer; L1 pushes all scales alike.
    """
    plain, _ = train_on(images, None, 0.0, kind=half_dead)
    network, _ = train_on(images, name, 0.02, kind=half_dead, epochs=8)
    dead = list(DEAD)
    assert torch.equal(sizes(name, plain)[dead], sizes(name, half_dead())[dead])
    assert (sizes(name, network)[dead] < 0.95 * sizes(name, plain)[dead]).all()
    if name == "slimming":
        return
    probe = torch.rand(4, 3, 32, 32)
    before = network(probe)
    method = MethodSpec(name=name, round_to=1, schedule="one-shot")
    prune(network, half_dead(), method, 1 / 3, probe[:1], seed=0)
    torch.testing.assert_close(network(probe), before)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("name", PREPARED)
def test_a_resumed_training_is_as_if_never_interrupted(images, name, epoch):
    """From the state after any epoch the rest gives the same weights, to the last bit."""
    whole, states = train_on(images, name, 0.01)
    resumed, _ = train_on(images, name, 0.01, resume=states[epoch - 1])
    assert same(whole.state_dict(), resumed.state_dict())


def test_what_has_grown_is_in_the_state(images):
    """Strengths of growing-reg by group; the other penalties have no state of their own."""
    for name in PREPARED:
        _, states = train_on(images, name, 0.01)
        kept = {n: t for n, t in states[0].tensors.items() if n.startswith("penalty.")}
        assert bool(kept) == (name == "growing-reg")
        for strengths in kept.values():
            assert float(strengths.min()) == pytest.approx(0.01)
            assert float(strengths.max()) == pytest.approx(0.01 * (1 + 2.0))

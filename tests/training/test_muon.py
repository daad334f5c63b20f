"""Muon: directions made equally strong, norms kept, and the same weights after an interruption."""

import pytest
import torch

from pruning_core.config.spec import TrainSpec, canonical_json
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from pruning_core.training.muon import Muon, orthogonalise
from pruning_core.training.step import TrainStep
from tests.helpers.factories import Tiny, bright_images

SPEC = TrainSpec(
    epochs=3,
    batch_size=16,
    learning_rate=0.05,
    momentum=0.6,
    precision="fp32",
    optimizer="muon",
    device="cpu",
)


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_come_near_to_one_and_vectors_stay(shape):
    """From values that are 10 times apart, in the same directions."""
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    values = torch.linspace(1, 10, min(shape))
    found = orthogonalise(u @ torch.diag(values) @ v)
    along = torch.diagonal(u.T @ found @ v.T)
    assert along.min() > 0.4
    assert along.max() < 1.3
    torch.testing.assert_close(u @ torch.diag(along) @ v, found, rtol=1e-4, atol=1e-4)


def test_nothing_stays_nothing():
    """A gradient of zeros gives no direction, and no NaN."""
    assert torch.equal(orthogonalise(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_a_step_turns_a_weight_by_its_rate_and_keeps_its_norm():
    """Moved by the given fraction of the norm, against the gradient, and brought back to the norm."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3) * 3)
    before, norm = weight.detach().clone(), float(weight.detach().norm())
    weight.grad = torch.randn(8, 4, 3, 3)
    Muon([weight], lr=0.1, momentum=0.0, nesterov=False, dtype=torch.float32).step()
    assert float(weight.detach().norm()) == pytest.approx(norm, rel=1e-5)
    turn = orthogonalise(weight.grad.flatten(1)).view_as(weight)
    moved = before - 0.1 * norm * turn / turn.norm()
    torch.testing.assert_close(weight.detach(), moved * norm / moved.norm(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_goes_on(nesterov):
    """The second step goes along both gradients, weighted as SGD weights them."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 10))
    twin = torch.nn.Parameter(torch.zeros(6, 10))
    sgd = torch.optim.SGD([twin], lr=1.0, momentum=0.5, nesterov=nesterov)
    muon = Muon([weight], lr=0.1, momentum=0.5, nesterov=nesterov, dtype=torch.float32)
    for _ in range(2):
        weight.grad = twin.grad = torch.randn(6, 10)
        before, along = weight.detach().clone(), twin.detach().clone()
        muon.step()
        sgd.step()
    turn = orthogonalise(along - twin.detach())
    moved = before - 0.1 * before.norm() * turn / turn.norm()
    torch.testing.assert_close(weight.detach(), moved * before.norm() / moved.norm(), rtol=1e-4, atol=1e-4)


def test_it_is_for_convolutions_behind_the_first(images):
    """Convolutions on the image, norms, biases and the classifier are SGD's; each weight is of one."""
    network = Tiny()
    sgd, muon = TrainStep(network, Classification(images), SPEC).optimizers
    names = {parameter: name for name, parameter in network.named_parameters()}
    of_muon = {names[p] for group in muon.param_groups for p in group["params"]}
    of_sgd = {names[p] for group in sgd.param_groups for p in group["params"]}
    assert of_muon == {"inner.weight", "outer.weight"}
    assert of_sgd == set(names.values()) - of_muon


def test_the_rate_follows_the_schedule(images):
    """Half of SGD's peak is half of Muon's."""
    runner = TrainStep(Tiny(), Classification(images), SPEC)
    runner.set_learning_rate(0.025)
    assert [o.param_groups[0]["lr"] for o in runner.optimizers] == pytest.approx([0.025, 0.075])


def test_an_interrupted_training_is_as_if_it_never_was(images):
    """The momentum_buffers of both optimizers go on: the same weights to the last bit."""
    ends, states = [], []
    for resume in (None, 0, 1):
        torch.manual_seed(1)
        network = Tiny()
        state = None if resume is None else states[resume]
        train(network, Classification(images), SPEC, resume=state, on_epoch=states.append)
        ends.append(network.state_dict())
    assert all(torch.equal(ends[0][name], end[name]) for end in ends[1:] for name in ends[0])


def test_a_spec_without_it_does_not_speak_of_it():
    """Keys of checkpoints from before there was a choice stay; with Muon its rate is part of the key."""
    assert "muon" not in canonical_json(TrainSpec())
    assert "optimizer" not in canonical_json(TrainSpec(muon_rate=0.3))
    assert '"muon_rate":0.15,' in canonical_json(SPEC)
    assert TrainSpec.model_validate_json(canonical_json(SPEC)) == SPEC


def test_a_weight_of_one_row_is_no_convolution():
    """A position embedding that begins with zeros learns: a step that keeps its norm would leave it there."""
    network = Tiny()
    network.position = torch.nn.Parameter(torch.zeros(1, 16, 16, 16))
    network.stem.register_forward_hook(lambda layer, inputs, output: output + network.position)
    train(network, Classification(bright_images()), SPEC)
    assert network.position.abs().max() > 0

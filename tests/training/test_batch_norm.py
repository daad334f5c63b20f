"""Batch norms are recalibrated on training images."""

import pytest
import torch

from pruning_core.config.spec import FineTuneSpec
from pruning_core.tasks.classification import Classification
from pruning_core.training.batch_norm import recalibrate_batch_norms
from tests.helpers.factories import Tiny, bright_images


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


def test_batch_norms_are_recalibrated_on_training_images(images):
    """Mean and variance become those of the images asked for; weights, momentum and mode stay."""
    torch.manual_seed(1)
    network = Tiny().eval()
    weights = {name: tensor.clone() for name, tensor in network.named_parameters()}
    seen = []
    hook = network.stem.register_forward_hook(lambda _, __, output: seen.append(output))
    recalibrate_batch_norms(network, Classification(images), FineTuneSpec(norm_images=60))
    hook.remove()
    assert torch.allclose(network.norm.running_mean, seen[0].cpu().mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(network.norm.running_var, seen[0].cpu().var((0, 2, 3)), rtol=1e-3)
    assert network.norm.momentum == 0.1
    assert not network.norm.training
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.named_parameters())


def test_norms_stay_when_no_images_are_asked_for(images):
    """Without `norm_images` the statistics stay what they were."""
    network = Tiny()
    before = network.norm.running_var.clone()
    recalibrate_batch_norms(network, Classification(images), FineTuneSpec(norm_images=0))
    assert torch.equal(before, network.norm.running_var)

"""Trainings of a small network, and whether two ended with the same weights."""

import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from tests.helpers.factories import Tiny


class WithDropout(Tiny):
    """Draws from torch's generator of the device while training."""

    def forward(self, images):
        return super().forward(torch.nn.functional.dropout(images, 0.2, training=self.training))


def train_small(images, *, kind=Tiny, resume=None, **fields):
    """Train a small network; return its weights, the states after each epoch, and the result."""
    spec = TrainSpec(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "precision": "fp32", **fields})
    torch.manual_seed(1)
    network, states = kind(), []
    result = train(network, Classification(images), spec, resume=resume, on_epoch=states.append)
    return network.state_dict(), states, result


def same(first, second):
    """Tell whether two state dicts are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

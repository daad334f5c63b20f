"""Regression: how far diabetes will have gone in a year, by ten measurements of 442 patients (scikit-learn).

    pytest bench/ --task regression:Diabetes --model regression:build --ratios 0.5

The score is the mean absolute error, of which lower is better.
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.nn import functional as F

from pruning_core.tasks import Score

TESTED = 142


class Diabetes:
    """The patients, shuffled once; the last 142 are for the test."""

    def __init__(self):
        data = load_diabetes()
        order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
        measured = torch.tensor(data.data, dtype=torch.float32)[order] / 0.0476  # deviation 1, as it is known
        progress = torch.tensor(data.target, dtype=torch.float32)[order]
        self.train = measured[:-TESTED], progress[:-TESTED]
        self.test = measured[-TESTED:], progress[-TESTED:]
        self.mean, self.deviation = self.train[1].mean(), self.train[1].std()

    def example_inputs(self):
        """Give a few patients: (16, 10)."""
        return self.train[0][:16]

    def training_batches(self, epoch, seed):
        """Give batches of 32: inputs first, then whatever the loss needs."""
        shuffle = torch.Generator().manual_seed(1000 * seed + epoch)
        for chosen in torch.randperm(len(self.train[0]), generator=shuffle).split(32):
            if len(chosen) > 1:  # a batch norm needs two
                yield self.train[0][chosen], self.train[1][chosen]

    def loss(self, output, batch):
        """Compare with the progress in deviations, so that a usual learning rate does."""
        _, progress = batch
        return F.smooth_l1_loss(output[:, 0], (progress - self.mean) / self.deviation)

    def evaluate(self, predict):
        """Return the error in the unit of the data; one value a patient gives it an interval."""
        measured, progress = self.test
        predicted = predict(measured)[:, 0] * self.deviation + self.mean
        errors = (predicted - progress).abs()
        return Score("mean absolute error", better="lower", value=errors.mean(), values=errors)

    def agreement(self, a, b):
        """Two predictions agree where they differ by less than a fiftieth of a deviation."""
        return ((a - b).abs() < 0.02).float().mean()


def build():
    """Return an untrained network; with a task it is called without arguments."""
    return nn.Sequential(
        nn.Linear(10, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )

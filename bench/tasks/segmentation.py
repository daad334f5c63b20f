"""Segmentation: which pixels of a noisy picture belong to a digit (scikit-learn), by a small U-Net.

    pytest bench/ --task segmentation:Digits --model segmentation:UNet --ratios 0.5

The score is the mean IoU of background and digit, picture by picture.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from pruning_core.tasks import Score

CLASSES, SIDE = 2, 24


class Digits:
    """Made-up pictures: a digit somewhere, under noise; some are kept for the test."""

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        digits = torch.tensor(load_digits().images, dtype=torch.float32)[:1000, None] / 16
        digits = F.interpolate(digits, scale_factor=2, mode="bilinear")[:, 0]  # (1000, 16, 16)
        clean = torch.zeros(1000, 1, SIDE, SIDE)
        for n, (y, x) in enumerate(torch.randint(0, SIDE - 15, (1000, 2), generator=draw).tolist()):
            clean[n, 0, y : y + 16, x : x + 16] = digits[n]
        pictures, masks = clean + 0.5 * torch.randn(clean.shape, generator=draw), (clean[:, 0] > 0.4).long()
        self.train, self.test = (pictures[200:], masks[200:]), (pictures[:200], masks[:200])

    def example_inputs(self):
        """Give a few pictures: (8, 1, 24, 24)."""
        return self.train[0][:8]

    def training_batches(self, epoch, seed):
        """Give batches of 32 pictures with their masks."""
        shuffle = torch.Generator().manual_seed(1000 * seed + epoch)
        for chosen in torch.randperm(800, generator=shuffle).split(32):
            yield self.train[0][chosen], self.train[1][chosen]

    def loss(self, output, batch):
        """Cross-entropy, pixel by pixel."""
        return F.cross_entropy(output, batch[1])

    def evaluate(self, predict):
        """Return the mean IoU; both classes are in each picture."""
        found = torch.cat([predict(part).argmax(1) for part in self.test[0].split(50)])  # (200, 24, 24)
        found, masks = (F.one_hot(each, CLASSES).bool() for each in (found, self.test[1]))
        ious = ((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))).mean(1)
        return Score("mean IoU", better="higher", value=ious.mean(), values=ious)

    def agreement(self, a, b):
        """Two answers agree in the share of pixels that get one class."""
        return (a.argmax(1) == b.argmax(1)).float().mean()


class UNet(nn.Module):
    """One step down and up again, with a skip connection that is concatenated; `--model` can name a class."""

    def __init__(self, width=16):
        super().__init__()
        self.first, self.down, self.deep = block(1, width), nn.MaxPool2d(2), block(width, 2 * width)
        self.up, self.last = nn.ConvTranspose2d(2 * width, width, 2, stride=2), block(2 * width, width)
        self.head = nn.Conv2d(width, CLASSES, 1)

    def forward(self, pictures):
        """Return logits for each pixel: (N, 1, 24, 24) to (N, 2, 24, 24)."""
        fine = self.first(pictures)
        coarse = self.up(self.deep(self.down(fine)))
        return self.head(self.last(torch.cat([fine, coarse], 1)))


def block(inputs, outputs):
    """A convolution with its norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

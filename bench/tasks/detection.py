"""Detection: where in a picture is the digit, by a single-stage network of two outputs (scikit-learn).

    pytest bench/ --task detection:Digits --model detection:Detector --ratios 0.5

Loss and score are the task's own: the score is the share of digits whose box is found with an IoU above 0.5.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from pruning_core.tasks import Score

SIDE, CELLS = 32, 8


class Digits:
    """Made-up pictures: a digit of some size somewhere, under noise; some are kept for the test."""

    def __init__(self):
        images = torch.tensor(load_digits().images, dtype=torch.float32)[:1000, None, None] / 16
        draw = torch.Generator().manual_seed(0)
        pictures, boxes = 0.2 * torch.randn(1000, 1, SIDE, SIDE, generator=draw), torch.zeros(1000, 4)
        for n, size in enumerate(torch.randint(8, 21, (1000,), generator=draw).tolist()):
            y, x = torch.randint(0, SIDE - size + 1, (2,), generator=draw).tolist()
            pictures[n, :, y : y + size, x : x + size] += F.interpolate(images[n], (size, size))[0]
            boxes[n] = torch.tensor([y + size / 2, x + size / 2, size, size]) / SIDE  # middle and size
        self.train, self.test = (pictures[200:], boxes[200:]), (pictures[:200], boxes[:200])

    def example_inputs(self):
        """Give a few pictures: (8, 1, 32, 32)."""
        return self.train[0][:8]

    def training_batches(self, epoch, seed):
        """Give batches of 32 pictures with their boxes."""
        shuffle = torch.Generator().manual_seed(1000 * seed + epoch)
        for chosen in torch.randperm(800, generator=shuffle).split(32):
            yield self.train[0][chosen], self.train[1][chosen]

    def loss(self, output, batch):
        """The cell that holds the middle is to say so, and to tell the box."""
        cell = ((batch[1][:, :2] * CELLS).long() * torch.tensor([CELLS, 1])).sum(1)  # (N,)
        far = F.l1_loss(boxes_of(output, cell), batch[1])
        return F.cross_entropy(output["scores"].flatten(1), cell) + 50 * far

    def evaluate(self, predict):
        """Return the share of digits that are found."""
        found, boxes = torch.cat([boxes_of(predict(part)) for part in self.test[0].split(50)]), self.test[1]
        low = torch.maximum(found[:, :2] - found[:, 2:] / 2, boxes[:, :2] - boxes[:, 2:] / 2)
        high = torch.minimum(found[:, :2] + found[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2)
        shared = (high - low).clamp(min=0).prod(1)
        hits = (shared / (found[:, 2:].prod(1) + boxes[:, 2:].prod(1) - shared) > 0.5).float()
        return Score("found at IoU 0.5", better="higher", value=hits.mean(), values=hits)


def boxes_of(output, cell=None):
    """Return the boxes that cells tell, by default those of the most certain ones: (N, 4)."""
    cell = output["scores"].flatten(1).argmax(1) if cell is None else cell
    return output["boxes"].flatten(2)[torch.arange(len(cell)), :, cell]


class Detector(nn.Module):
    """A small backbone, and two heads over its 8×8 cells: a dict of two outputs."""

    def __init__(self):
        super().__init__()
        blocks = [[nn.Conv2d(c, 32, 5, s, 2), nn.BatchNorm2d(32), nn.ReLU()] for c, s in ((1, 2), (32, 2))]
        self.backbone = nn.Sequential(*blocks[0], *blocks[1], nn.Conv2d(32, 32, 5, 1, 2), nn.ReLU())
        self.scores, self.boxes = nn.Conv2d(32, 1, 1), nn.Conv2d(32, 4, 1)
        self.register_buffer("corners", torch.cartesian_prod(*[torch.arange(CELLS) / CELLS] * 2).T)  # (2, 64)

    def forward(self, pictures):
        """Return a score for each cell, and a box, whose middle is told from the cell's corner."""
        features = self.backbone(pictures)  # (N, 32, 8, 8)
        inside, size = self.boxes(features).sigmoid().split(2, 1)
        middle = inside / CELLS + self.corners.view(1, 2, CELLS, CELLS)
        return {"scores": self.scores(features), "boxes": torch.cat([middle, size], 1)}

"""A task of a user's own: two inputs, two outputs, made-up data; and the module that it stands in."""

import itertools
import sys
from pathlib import Path

TEXT = """
import torch
from torch import nn
from pruning_core.tasks import Score


class Sums:
    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.left = torch.randn(48, 3, 8, 8, generator=draw)
        self.right = torch.randn(48, 6, generator=draw)
        self.target = self.left.mean((1, 2, 3)) + self.right.sum(1)

    def example_inputs(self):
        return {example}

    def training_batches(self, epoch, seed):
        order = torch.randperm(32, generator=torch.Generator().manual_seed(100 * seed + epoch))
        for chosen in order.split(16):
            yield {batch}

    def loss(self, output, batch):
        return {loss}

    def evaluate(self, predict):
        output = predict({tested})
        errors = ({first} - self.target[32:]).abs()
        return {score}

    {more}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.linear, self.both = nn.Linear(6, 8), nn.Linear(16, 12)
        self.one, self.two = nn.Linear(12, 1), nn.Linear(12, 3)

    def forward(self, left, right):
        maps = torch.relu(self.norm(self.conv(left))).mean((2, 3))
        x = torch.relu(self.both(torch.cat([maps, torch.relu(self.linear(right))], 1)))
        one, two = self.one(x)[:, 0], self.two(x)
        return {given}


def build():
    return Net()
"""

PARTS = {
    "tuple": {
        "example": "self.left[:4], self.right[:4]",
        "batch": "(self.left[chosen], self.right[chosen]), self.target[chosen]",
        "tested": "(self.left[32:], self.right[32:])",
        "given": "one, two",
        "first": "output[0]",
    },
    "list": {
        "example": "[self.left[:4], self.right[:4]]",
        "batch": "[self.left[chosen], self.right[chosen]], self.target[chosen]",
        "tested": "[self.left[32:], self.right[32:]]",
        "given": "[one, two]",
        "first": "output[0]",
    },
    "dict": {
        "example": "{'right': self.right[:4], 'left': self.left[:4]}",
        "batch": "{'right': self.right[chosen], 'left': self.left[chosen]}, self.target[chosen]",
        "tested": "{'right': self.right[32:], 'left': self.left[32:]}",
        "given": "{'one': one, 'two': two}",
        "first": "output['one']",
    },
}
"""Kind of what the network takes and gives → the parts of the text."""

_SHARED = {
    "loss": "((({first}) - batch[1]) ** 2).mean()",
    "score": "Score('mean absolute error', better='lower', value=errors.mean(), values=errors)",
    "more": "pass",
}
_NUMBERS = itertools.count()


def write_task(folder: Path, kind: str = "tuple", **parts: str) -> str:
    """Write a module with a task and its network, which no test has imported, and return its name.

    Args:
        folder: One that Python looks into.
        kind: In PARTS.
        parts: Parts of the text that differ.
    """
    chosen = {**PARTS[kind], **_SHARED, **parts}
    chosen["loss"] = chosen["loss"].replace("{first}", chosen["first"])
    text = TEXT
    for name, part in chosen.items():
        text = text.replace(f"{{{name}}}", part)
    module = f"own_task_{next(_NUMBERS)}"
    sys.modules.pop(module, None)
    (folder / f"{module}.py").write_text(text)
    return module

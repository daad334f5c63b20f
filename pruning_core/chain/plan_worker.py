"""What the processes of a matrix run (`pruning/matrix.py`): one network, pruned, checked and timed."""

from collections.abc import Iterator
from typing import TextIO

import torch
from torch import nn

from pruning_core.chain.preview_checks import make_check
from pruning_core.pruning.matrix_worker import Show, Task, write_rows
from pruning_core.pruning.preview import PreviewStep
from pruning_core.shapes.plan_times import time_steps

WORKER = __name__
"""Name of this module, for whoever starts such a process."""


def main(given: str, answers: TextIO) -> None:
    """Carry out a task, and answer in lines of JSON.

    Args:
        given: The task, as JSON.
        answers: To whoever has started this process.
    """
    task = Task.read(given)
    check = make_check(task.check, task.model, task.classes, task.image) if task.check else None

    def timed(pruned: Iterator[tuple[PreviewStep, nn.Module]], show: Show) -> Iterator[PreviewStep]:
        return time_steps(pruned, len(task.ratios), torch.zeros(1, *task.image), task.measure, show)

    write_rows(task, check, answers, timed if task.measure else None)

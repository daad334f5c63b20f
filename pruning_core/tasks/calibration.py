"""The training examples from which int8 takes its ranges: the same in each run, and in an exported file."""

import torch

from pruning_core.models.inputs import Inputs, join_rows
from pruning_core.tasks.base import Task

CALIBRATION_EXAMPLES = 128


def draw_calibration_inputs(task: Task) -> Inputs:
    """Return inputs of training examples: 128 at most.

    Raises:
        TaskError: If there are none.
        ValueError: If their inputs are not of one structure …
        RuntimeError: … or not of one shape.
    """
    generator = torch.Generator().manual_seed(0)
    return join_rows(list(task.training_inputs(CALIBRATION_EXAMPLES, generator)))

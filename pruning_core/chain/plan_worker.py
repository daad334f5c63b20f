"""What the processes of a matrix run (`pruning/matrix.py`): a network is pruned, and checked as asked."""

from typing import TextIO

from pruning_core.chain.preview_checks import make_check
from pruning_core.pruning.matrix_worker import Task, write_rows

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
    write_rows(task, check, answers)

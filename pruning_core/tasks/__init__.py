"""Tasks by name: what is learnt, and how a network is scored.

    from pruning_core.tasks import Score

is what a user's own task returns (see `tasks/README.md`). A new task of ours is a class in a file of its own
and a line in `TASKS`.
"""

from collections.abc import Callable

from pruning_core.config.spec import DatasetSpec, TaskSpec
from pruning_core.datasets.base import Dataset
from pruning_core.errors import UnknownNameError
from pruning_core.tasks.base import Signature, Task
from pruning_core.tasks.classification import Classification, ImageClasses
from pruning_core.tasks.score import Score
from pruning_core.tasks.user import open_task
from pruning_core.tasks.user_class import find_class

__all__ = ["TASKS", "Score", "check_task_name", "load_task", "signature_of"]

TASKS: dict[str, Callable[[Dataset], Task]] = {"classification": Classification}
"""Name → what makes a task of a dataset. A user's `module:Class` stands beside it and brings its data."""


def check_task_name(name: str) -> None:
    """Refuse a name that is no task, without loading any data.

    Raises:
        UnknownNameError: If it is no name in TASKS and no `module:Class`.
        TaskError: If the module or class is not there.
    """
    if name in TASKS:
        return
    module, colon, own = name.partition(":")
    if not (colon and module and own):
        raise UnknownNameError("task", name, TASKS, "or module:Class of your own")
    find_class(name)


def load_task(name: str, load_images: Callable[[], Dataset]) -> Task:
    """Return a task with its data.

    Args:
        name: A name in TASKS, or `module:Class`.
        load_images: Loads the dataset of a task in TASKS; not called for a user's.

    Raises:
        UnknownNameError: If there is no such task.
        TaskError: If a user's task is not what it must be.
    """
    check_task_name(name)
    return TASKS[name](load_images()) if name in TASKS else open_task(name)


def signature_of(spec: DatasetSpec | TaskSpec) -> Signature:
    """Return what networks for the data of a spec take and give.

    Raises:
        TaskError: If a user's task cannot be opened.
    """
    return ImageClasses(spec) if isinstance(spec, DatasetSpec) else open_task(spec.name)

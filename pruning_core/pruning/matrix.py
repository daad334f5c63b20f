"""What pruning would give, for many networks and methods: `pruning-bench plan --model 'torchvision:*'`.

Each network has a process of its own, with limits on time and memory: one that dies, hangs or takes all
memory costs its own rows. Starting the process takes seconds, which is little beside tracing a network.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from pruning_core.config.parse import USUAL_CLASSES
from pruning_core.config.setting import Setting
from pruning_core.config.spec import MethodSpec
from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import ModelError
from pruning_core.models import check_model_name, default_image, expand_models
from pruning_core.models.weights import classes_for, describe_file
from pruning_core.process.child import run_child
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.matrix_worker import Row, Show, Task
from pruning_core.system.machine import describe_machine
from pruning_core.system.memory import available_memory_bytes

_MEMORY_SHARE = 0.9
"""Of the memory that is available when a network's turn begins."""

_USUAL_IMAGE = (3, 32, 32)
"""Of a user's own network, which does not tell."""


class Kept(Protocol):
    """Where rows are kept from one run to the next (`matrix_file.py`)."""

    def find(self, task: Task) -> list[Row] | None:
        """Return the rows of a task that was done before."""
        ...

    def put(self, task: Task, rows: list[Row]) -> None:
        """Keep the rows of a task."""
        ...


def make_tasks(
    patterns: Sequence[str],
    methods: Sequence[MethodSpec],
    ratios: tuple[float, ...],
    classes: int | None,
    image: tuple[int, int, int] | None,
    check: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda _: None,
    weights_of: Callable[[str], WeightsChoice | None] = lambda _: None,
    download: bool = False,
    measure: tuple[Setting, ...] = (),
) -> list[Task]:
    """Return a task for each network and method, in this order; every name is looked up.

    Args:
        patterns: Names of networks, or patterns such as `torchvision:*`.
        methods: How channels are chosen.
        ratios: Rising, in [0, 1].
        classes: Width of the last layer; None: what its weights have, else `USUAL_CLASSES`.
        image: Channels, height, width; None: each network's own.
        check: Names of what is tried with each pruned network.
        say: Called with a line on what a pattern leaves out.
        weights_of: Where the weights of a network are; None: it is untrained.
        download: Whether published weights may be downloaded, now.
        measure: On what the shapes are timed; empty: they are not.

    Raises:
        UnknownNameError: If there is no such network.
        OptionError: If a pattern matches none, or a library is not installed.
        ModelError: If a user's module or function is not there, or a file of weights.
    """
    models = expand_models(patterns, say)
    for model in models:
        check_model_name(model)
    machine = machine_of(measure)
    tasks = []
    for model in models:
        weights, shape = weights_of(model), image or default_image(model) or _USUAL_IMAGE
        file = "" if weights is None else describe_file(weights, model, download)
        own = classes or USUAL_CLASSES
        if weights is not None and classes is None:
            with suppress(ModelError):  # its row has the error, and the others their numbers
                own = classes_for(model, weights, classes, USUAL_CLASSES, shape, download)
        tasks += [
            Task(model, method, ratios, own, shape, check, weights, file, measure, **machine)
            for method in methods
        ]
    return tasks


def machine_of(measure: Sequence[Setting]) -> dict[str, str]:
    """Return where shapes are timed: `machine`, `machine_fingerprint`; nothing where they are not."""
    if not measure:
        return {}
    threads = {setting.threads for setting in measure}
    about = describe_machine(threads.pop() if len(threads) == 1 else 0)
    return {"machine": str(about["name"]), "machine_fingerprint": str(about["fingerprint"])}


def plan_matrix(
    tasks: Sequence[Task], worker: str, max_seconds: float, kept: Kept | None, display: ProgressDisplay
) -> Iterator[list[Row]]:
    """Carry tasks out one after the other; give the rows of each, also where it fails.

    Args:
        tasks: In their order.
        worker: The module that their processes run.
        max_seconds: For one task.
        kept: Holds the rows of earlier runs, and gets those of this one; tasks that failed are tried again.
        display: Gets a line for each task.
    """
    for number, task in enumerate(tasks, start=1):
        what = f"{number}/{len(tasks)} {task.model}, {task.method.name}"
        rows = None if kept is None else kept.find(task)
        if rows is not None:
            display.say(f"{what}: done before")
            yield rows
            continue
        started = time.monotonic()
        if task.measure:
            with display.phases(what) as show:
                rows = _carry_out(task, worker, max_seconds, _shown_by(show))
        else:
            with display.waiting_for(what):
                rows = _carry_out(task, worker, max_seconds, lambda _: None)
        if kept is not None:
            kept.put(task, rows)
        error = next((row["error"] for row in rows if row["error"]), "")
        took = f"{time.monotonic() - started:.1f} s"
        display.say(f"{what}: {f'failed after {took}: {error}' if error else took}")
        yield rows


def _shown_by(show: Show) -> Callable[[str], None]:
    """Return what shows the last progress that a child has answered."""
    last = ""

    def meanwhile(answers: str) -> None:
        nonlocal last
        lines = answers[: answers.rfind("\n") + 1].splitlines()
        line = next((line for line in reversed(lines) if line.startswith("[")), "")
        if line and line != last:
            last = line
            show(*json.loads(line))

    return meanwhile


def _carry_out(task: Task, worker: str, max_seconds: float, meanwhile: Callable[[str], None]) -> list[Row]:
    started = time.monotonic()
    memory = round(available_memory_bytes() * _MEMORY_SHARE)
    ended = run_child(worker, task.write(), max_seconds, memory, meanwhile)
    done: list[Row] = []
    problem = ended.problem
    for line in ended.output.splitlines(keepends=True):
        if not line.endswith("\n"):
            continue  # it was killed while it wrote
        content = json.loads(line)
        if isinstance(content, dict):
            done.append(content)
        elif isinstance(content, str):
            problem = content
    told = sum(row["seconds"] + row.get("check_seconds", 0.0) for row in done)
    seconds = time.monotonic() - started - told
    return task.rows(done, problem, seconds)

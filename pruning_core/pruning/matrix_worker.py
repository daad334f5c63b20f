"""The child's side of a matrix: one network, one method, a row for each ratio as soon as it is done."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TextIO

from torch import nn

from pruning_core.config.setting import Setting
from pruning_core.config.spec import MethodSpec
from pruning_core.config.weights import WeightsChoice
from pruning_core.console.escaping import for_json
from pruning_core.errors import PruningBenchError
from pruning_core.models import model_library
from pruning_core.process.child import end_with_parent, prefer_to_be_killed
from pruning_core.process.faults import describe_fault
from pruning_core.pruning import find_method
from pruning_core.pruning.preview import Check, PreviewStep, preview_networks

Row = dict[str, Any]
"""What one ratio of one network gives, as JSON has it; `error` says why where it gives nothing."""

Show = Callable[[str, int, int], object]
"""Takes what is being done, steps done and steps in all."""

TimeSteps = Callable[[Iterator[tuple[PreviewStep, nn.Module]], Show], Iterator[PreviewStep]]
"""Gives steps, the dense one first, with the times of their networks."""

_SHOWN_EVERY_S = 0.5


@dataclass(frozen=True)
class Task:
    """What is asked of one network by one method."""

    model: str
    method: MethodSpec
    ratios: tuple[float, ...]
    classes: int
    image: tuple[int, int, int]  # channels, height, width
    check: tuple[str, ...] = ()  # names of what is tried with each pruned network
    weights: WeightsChoice | None = None  # of the dense network
    weights_file: str = ""  # its name and hash
    measure: tuple[Setting, ...] = ()  # on what its shapes are timed
    machine: str = ""  # its name, where shapes are timed …
    machine_fingerprint: str = ""  # … and hardware and versions

    @classmethod
    def read(cls, text: str) -> Self:
        """Make a task of what `write` gives."""
        fields = json.loads(text)
        models: dict[str, Any] = {"method": MethodSpec.model_validate(fields["method"])}
        if fields["weights"] is not None:
            models["weights"] = WeightsChoice.model_validate(fields["weights"])
        models["measure"] = tuple(Setting(**setting) for setting in fields["measure"])
        return cls(**{**fields, **models, **{k: tuple(fields[k]) for k in ("ratios", "image", "check")}})

    def write(self) -> str:
        """Return the task as JSON."""
        models = {"method": self.method.model_dump(mode="json")}
        if self.weights is not None:
            models["weights"] = self.weights.model_dump(mode="json")
        return json.dumps({**asdict(self), **models})

    @property
    def name(self) -> tuple[str, str]:
        """Network and method, which tell a task from the others of its matrix."""
        return self.model, self.method.name

    def settings(self) -> Row:
        """Return what decides the answer beside network, method and ratio, as it stands in each row."""
        checked: Row = {"check": list(self.check)} if self.check else {}
        checked |= {"weights": self.weights_file} if self.weights_file else {}
        if self.measure:
            checked |= {"measure": [setting.label for setting in self.measure]}
            checked |= {"machine": self.machine, "machine_fingerprint": self.machine_fingerprint}
        return {
            "image": list(self.image),
            "classes": self.classes,
            "schedule": self.method.schedule,
            "scope": self.method.scope,
            "round_to": self.method.round_to,
            "protect": list(self.method.protect),
            "ratio_of": dict(self.method.ratio_of),
            "max_ratio": self.method.max_ratio,
            "built_by": model_library(self.model),
            "pruned_by": find_method(self.method.name).library_version(),
            **checked,
        }

    def rows(self, done: Sequence[Row], problem: str, seconds: float) -> list[Row]:
        """Return a row for each ratio.

        Args:
            done: What the worker wrote, in the order of the ratios; it may have ended before the last one.
            problem: Why it ended; it stands in the rows that are missing.
            seconds: Time that the first missing one took until then.
        """
        settings, rows = self.settings(), []
        for index, ratio in enumerate(self.ratios):
            question = {"model": self.model, "method": self.method.name, "ratio": ratio}
            if index < len(done):
                rows.append({**question, "error": "", **settings, **done[index]})
            else:
                failed = {"error": problem or "it ended without an answer", **settings}
                rows.append({**question, **failed, "seconds": round(max(seconds, 0.0), 2)})
                seconds = 0.0
        return rows


def plan_rows(
    task: Task, check: Check | None, time_steps: TimeSteps | None = None, show: Show = lambda *_: None
) -> Iterator[Row]:
    """Prune an untrained network along a schedule; give each step as a row, without the task's settings.

    The seconds of steps that are timed together stand in the first of them.
    """
    last = time.perf_counter()
    networks = preview_networks(
        task.model,
        task.method,
        task.ratios,
        classes=task.classes,
        image=task.image,
        with_dense=True,
        check=check,
        weights=task.weights,
    )
    steps = (step for step, _ in networks) if time_steps is None else time_steps(networks, show)
    dense = next(steps)
    for step in steps:
        now = time.perf_counter()
        row = {
            "error": step.error,
            "seconds": round(now - last - step.check_seconds, 2),
            "dense_macs": dense.macs,
            "dense_params": dense.params,
        }
        yield {**row, **asdict(step)}
        last = now


def write_rows(task: Task, check: Check | None, answers: TextIO, time_steps: TimeSteps | None = None) -> None:
    """Carry out a task; answer each row in a line of JSON, then a text where it failed.

    In between, lists of what is done, steps done and steps in all.

    Args:
        task: What is asked.
        check: What is tried with each pruned network.
        answers: To whoever has started this process.
        time_steps: Times the networks; None: they are not timed.
    """
    shown, shown_at = "", 0.0

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown, shown_at
        if what != shown or time.monotonic() - shown_at > _SHOWN_EVERY_S:
            shown, shown_at = what, time.monotonic()
            print(for_json([what, done, total], compact=True), file=answers, flush=True)

    prefer_to_be_killed()
    end_with_parent()
    problem = ""
    try:
        for row in plan_rows(task, check, time_steps, show):
            print(for_json(row, compact=True), file=answers, flush=True)
    except PruningBenchError as error:
        problem = " ".join(str(error).split())
    except MemoryError:
        problem = "out of memory"
    except Exception as error:
        problem = describe_fault(error).removeprefix("error: ")
    if problem:
        print(for_json(problem), file=answers, flush=True)

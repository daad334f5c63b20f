"""A user's class, called: what it returns is checked, and what it raises is told in one line."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pruning_core.errors import PruningBenchError, TaskError
from pruning_core.models.inputs import Inputs, explain, map_tensors, tensors_of
from pruning_core.models.user import seeded
from pruning_core.tasks.digests import UnhashableError, digest_of
from pruning_core.tasks.score import Score
from pruning_core.user_code.functions import UserModule, find_function, raise_if_not_theirs
from pruning_core.user_code.tensors import unusual_kind

METHODS = {
    "example_inputs": "example_inputs()",
    "training_batches": "training_batches(epoch, seed)",
    "loss": "loss(output, batch)",
    "evaluate": "evaluate(predict)",
}
"""What a task must have, and how it is called; `agreement(a, b)` and `fingerprint()` it may have."""


def find_class(name: str) -> tuple[type[Any], UserModule]:
    """Import a user's module, once, and return the class that is named, with its module.

    Raises:
        TaskError: If module or class is not there, or the class lacks a method.
    """
    found, module = find_function(name, lambda text: TaskError(f"task {name}: {text}"))
    if not isinstance(found, type):
        raise TaskError(f"task {name}: it must be a class; got {type(found).__name__}")
    missing = [how for method, how in METHODS.items() if not callable(getattr(found, method, None))]
    if missing:
        raise TaskError(f"task {name}: the class lacks {', '.join(missing)}")
    return found, module


class UserClass:
    """An object of a user's class."""

    def __init__(self, name: str) -> None:
        """Make the object.

        Raises:
            TaskError: If it cannot be made without arguments.
        """
        self.name = name
        kind, self.module = find_class(name)
        self._object = self._guard("the class, called without arguments,", kind)

    def has(self, method: str) -> bool:
        """Tell whether the class has a method that it need not have."""
        return callable(getattr(self._object, method, None))

    def refusal(self, text: str) -> TaskError:
        """Return an error of this task."""
        return TaskError(f"task {self.name}: {text}")

    def example_inputs(self) -> Inputs:
        """Return a copy of the example inputs, on the CPU."""
        given = self._ask("example_inputs")
        tensors = tensors_of(given)
        if not tensors or not isinstance(given, Tensor | tuple | list | dict):
            raise self.refusal(
                "example_inputs() must return a tensor, or several in a tuple, list or dict; "
                f"got {explain(given)}"
            )
        if unusual := next(filter(None, map(unusual_kind, tensors)), ""):
            raise self.refusal(f"example_inputs() must return tensors of numbers row by row; got {unusual}")
        if any(not t.dim() or not t.numel() for t in tensors) or len({len(t) for t in tensors}) > 1:
            raise self.refusal(
                "example_inputs(): each tensor must have the examples in its first dimension, as many as "
                f"the others and at least one; got {explain(given)}"
            )
        if any(not bool(t.isfinite().all()) for t in tensors):
            raise self.refusal("example_inputs() holds values that are no finite numbers")
        if not any(t.is_floating_point() or _differ(t) for t in tensors if t.dtype != torch.bool):
            kind = "complex" if any(t.is_complex() for t in tensors) else "whole"
            raise self.refusal(
                f"example_inputs() holds {kind} numbers that are all alike: others are drawn from among "
                "them, so give some that differ"
            )
        return map_tensors(lambda tensor: tensor.detach().cpu().clone(), given)

    def batches(self, epoch: int, seed: int) -> Iterator[tuple[Any, ...]]:
        """Walk over the batches of an epoch."""
        given = self._ask("training_batches", epoch, seed)
        try:
            iterator = iter(given)
        except TypeError:
            raise self.refusal(
                f"training_batches() must return or yield batches; got {type(given).__name__}"
            ) from None
        while True:
            batch = self._guard("training_batches()", lambda: next(iterator, None))
            if batch is None:
                return
            if not isinstance(batch, tuple | list) or not batch or not tensors_of(batch[0]):
                raise self.refusal(
                    "training_batches(): a batch must be a tuple whose first item is what the network "
                    f"takes; got {explain(batch)}"
                )
            yield tuple(batch)

    def count_batches(self, seed: int) -> int:
        """Return how many batches the first epoch has."""
        given = self._ask("training_batches", 0, seed)
        if hasattr(given, "__len__"):
            return int(self._guard("len(training_batches())", lambda: len(given)))
        return sum(1 for _ in self.batches(0, seed))

    def loss(self, output: Any, batch: tuple[Any, ...]) -> Tensor:
        """Return the loss: one number that has a gradient."""
        loss = self._ask("loss", output, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
            what = explain(loss) if not isinstance(loss, Tensor) or loss.numel() != 1 else str(loss.dtype)
            raise self.refusal(f"loss() must return a tensor of one number; got {what}")
        return loss.reshape(())

    def evaluate(self, predict: Callable[[Inputs], Any]) -> Score:
        """Return the score of a network; what is drawn by chance meanwhile is the same each time."""
        with seeded(0):
            score = self._ask("evaluate", predict)
        if not isinstance(score, Score):
            raise self.refusal(
                "evaluate() must return a Score (from pruning_core.tasks import Score); "
                f"got {type(score).__name__}"
            )
        return score

    def agreement(self, a: Any, b: Any) -> float:
        """Return the fraction of examples with the same answer."""
        found = self._ask("agreement", a, b)
        try:
            share = float(found)
        except (TypeError, ValueError, RuntimeError):
            share = float("nan")
        if not 0 <= share <= 1:
            got = explain(found) if isinstance(found, Tensor) and found.numel() != 1 else repr(found)[:60]
            raise self.refusal(f"agreement() must return a fraction in [0, 1]; got {got}")
        return share

    def fingerprint(self) -> str:
        """Return what the class says of its data."""
        found = self._ask("fingerprint")
        if not isinstance(found, str) or not found:
            raise self.refusal(f"fingerprint() must return a text; got {type(found).__name__}")
        return found

    def repeated_digests(self, first: list[tuple[Any, ...]], n: int) -> list[str]:
        """Return the hashes of the first batches; refuse those that are not of epoch and seed alone.

        The second epoch is asked for after the first and after itself, then the first after the second: a
        training that is resumed does not ask for the epochs before.

        Args:
            first: Of the first epoch.
            n: Batches that are asked for, of each epoch.

        Raises:
            TaskError: If an epoch gives others when it is asked for again.
        """
        known = {0: [self.digest(batch, "training_batches()") for batch in first]}
        for epoch in (1, 1, 0):
            batches = islice(self.batches(epoch, 0), n)
            digests = [self.digest(batch, "training_batches()") for batch in batches]
            if digests != known.setdefault(epoch, digests):
                raise self.refusal(
                    f"training_batches(epoch={epoch}, seed=0) gave other batches when it was called again: "
                    "draw from a generator of your own, seeded by epoch and seed, and keep nothing from one "
                    "epoch to the next"
                )
        return known[0]

    def digest(self, value: Any, what: str) -> str:
        """Return the hash of what a method gave; where the class has a fingerprint, as far as it has one.

        Args:
            value: A batch, or inputs.
            what: Gave it, for the error.

        Raises:
            TaskError: If it holds what cannot be hashed, and the class has no `fingerprint()`.
        """
        try:
            return digest_of(value, names_suffice=self.has("fingerprint"))
        except UnhashableError as error:
            raise self.refusal(
                f"{what} gives {error}, which cannot be hashed for the key: give tensors, arrays, numbers "
                "and texts, or add a fingerprint() that returns a text that names the version of the data"
            ) from None

    def _ask(self, method: str, *arguments: Any) -> Any:
        return self._guard(f"{method}()", lambda: getattr(self._object, method)(*arguments))

    def _guard(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            with self.module.running():
                return call()
        except TaskError as error:
            raise self.refusal(f"{what}: {error}") if not str(error).startswith("task ") else error from None
        except PruningBenchError:  # of a backend, say: not the task's
            raise
        except BaseException as error:
            raise_if_not_theirs(error)
            raise self.refusal(f"{what} raised {self.module.explain(error)}") from error


def _differ(tensor: Tensor) -> bool:
    """Tell whether the numbers of a tensor are not all alike, of whatever kind they are."""
    return bool((tensor != tensor.reshape(-1)[0]).any())

"""A user's own task: `module:Class` → what is learnt, checked, before anything is trained.

How such a class is written: `tasks/README.md`. All mistakes that show without training are found when it is
opened (examples, batches), and when the first network of it is about to be trained (loss, score).
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.config.spec import FineTuneSpec, ModelSpec, TaskSpec, TrainSpec
from pruning_core.datasets.base import Dataset
from pruning_core.errors import ModelError, NotTimedError
from pruning_core.models import MODELS, ZOOS, build_own_model, own_model_spec
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import (
    Inputs,
    Outputs,
    count_rows,
    in_float,
    join_rows,
    run,
    take_rows,
)
from pruning_core.models.purpose import check_rows
from pruning_core.models.user import seeded
from pruning_core.tasks.base import Extent, Predict, Task
from pruning_core.tasks.recording import Recorder, UserEvaluation, bounds, check_like, max_difference
from pruning_core.tasks.user_batches import UserBatches
from pruning_core.tasks.user_class import UserClass, find_class
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

CHECKED_BATCHES = 3
"""Of an epoch, the batches that are asked for twice, and hashed."""

_OPENED: dict[type[Any], "UserTask"] = {}


class _SeenError(BaseException):
    """An evaluation has asked its first question: that is all that was to be known."""


@dataclass(frozen=True)
class TaskPurpose:
    """A network takes the examples of a task."""

    task: str
    arguments: tuple[int, ...] = ()

    def check(self, network: nn.Module, name: str) -> None:
        """Run it on examples (see `check_rows`)."""
        check_rows(network, name, open_task(self.task).example())


def open_task(name: str) -> "UserTask":
    """Return a user's task, opened once in a process.

    Raises:
        TaskError: If it is not what it must be.
    """
    kind, _ = find_class(name)
    if kind not in _OPENED:
        _OPENED[kind] = UserTask(name)
    return _OPENED[kind]


class UserTask(Task):
    """A task that a user's class describes."""

    def __init__(self, name: str) -> None:
        """Make an object of the class, and look at its examples and first batches (see `open_task`)."""
        self._own = UserClass(name)
        self._example = self._own.example_inputs()
        self._some_inputs: Inputs = None  # of test examples, once there was an evaluation
        self._tested = 0
        batches = list(islice(self._own.batches(0, 0), CHECKED_BATCHES))
        if not batches:
            raise self._own.refusal("training_batches(epoch=0, seed=0) gives no batch")
        for batch in batches:
            check_like(batch[0], self._example, f"task {name}: training_batches() must give")
        digests = self._own.repeated_digests(batches, CHECKED_BATCHES)
        self._batch_size = count_rows(batches[0][0])
        asked = self._first_question()
        if asked != self._first_question():
            raise self._own.refusal("evaluate() asks predict() something else when it is called again")
        told = self._own.fingerprint() if self._own.has("fingerprint") else ""
        example = self._own.digest(self._example, "example_inputs()")
        whole = told or "\n".join([example, *digests, asked])
        self.spec = TaskSpec(
            name=name,
            source_sha256=self._own.module.source_sha256,
            fingerprint=hashlib.sha256(whole.encode()).hexdigest()[:32],
        )

    def _first_question(self) -> str:
        """Return the hash of the first inputs that an evaluation asks the network about."""
        seen: list[str] = []

        def predict(inputs: Inputs) -> Outputs:
            check_like(inputs, self._example, "predict() takes")
            seen.append(self._own.digest(inputs, "evaluate()"))
            raise _SeenError

        try:
            self._own.evaluate(predict)
        except _SeenError:
            return seen[0]
        raise self._own.refusal("evaluate() must call predict(inputs); it never did")

    def model_spec(self, name: str) -> ModelSpec:
        """Return the spec of a user's network, which is built without arguments."""
        self._check_own(name)
        return own_model_spec(name, TaskPurpose(self._own.name))

    def build(self, name: str, seed: int = 0) -> nn.Module:
        """Build a user's network, without arguments, and run it on examples."""
        self._check_own(name)
        return build_own_model(name, TaskPurpose(self._own.name), seed)

    def _check_own(self, name: str) -> None:
        if name in MODELS or name.partition(":")[0] in ZOOS:
            raise ModelError(
                f"model {name} is one for classification; for task {self._own.name} name a network of your "
                "own: --model module:function, called without arguments"
            )

    def example(self) -> Inputs:
        """Return the example inputs."""
        return self._example

    @property
    def images(self) -> Dataset:
        """Refuse: there are none."""
        raise NotTimedError(f"task {self._own.name} is no classification: no baseline loop trains it")

    def check_training(self, how: TrainSpec) -> None:
        """Refuse distillation, which compares logits, and cut-out, which changes images."""
        if isinstance(how, FineTuneSpec) and how.distill_weight > 0:
            raise self._own.refusal("distill_weight must be 0: only a classification's logits are distilled")
        if how.cut_out:
            raise self._own.refusal("cut_out must be 0: its examples are not images of ours")

    def check(self, network: nn.Module) -> None:
        """Try loss and score (see `Task.check`)."""
        tried = copy_network(network)
        batch = next(self._own.batches(0, 0))
        try:
            with seeded(0), torch.no_grad():
                output = in_float(run(tried.train(), batch[0]))
        except BaseException as error:
            raise_if_not_theirs(error)
            what = "the network cannot take the first training batch"
            raise self._own.refusal(f"{what}: {one_line(error)}") from error
        if not math.isfinite(loss := float(self._own.loss(output, batch))):
            raise self._own.refusal(f"loss() of the first batch, untrained, must be finite; got {loss}")
        self.evaluate(_answers_of(copy_network(network).eval()))

    def extent(self, how: TrainSpec) -> Extent:
        """Return how much an epoch and an evaluation are; the latter once there was one."""
        return Extent(self._batch_size, self._own.count_batches(how.seed), self._tested)

    def training_batches(self, network: nn.Module, how: TrainSpec, device: torch.device) -> "UserBatches":
        """Return the user's batches; each moves to the device by itself."""
        return UserBatches(self._own, self._example, how, device)

    def training_inputs(self, n: int, generator: torch.Generator) -> Iterator[Inputs]:
        """Return inputs of the user's batches of an epoch, up to `n` examples."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        for batch in self._own.batches(0, seed):
            if n <= 0:
                return
            inputs = take_rows(batch[0], slice(0, n))
            n -= count_rows(inputs)
            yield inputs

    def evaluate(self, predict: Predict) -> UserEvaluation:
        """Score a network as the user's class does."""
        recorder = Recorder(predict, self._example)
        score = self._own.evaluate(recorder)
        if not recorder.rows:
            raise self._own.refusal("evaluate() must call predict(inputs); it never did")
        self._tested = recorder.rows
        if self._some_inputs is None:
            self._some_inputs = recorder.inputs
        n = len(score.values) if score.values is not None else recorder.rows
        return UserEvaluation(score, n, recorder.outputs)

    def evaluate_some(self, predict: Predict, n: int, batch_size: int) -> tuple[UserEvaluation, Tensor]:
        """Let a network answer some of the examples that were scored (see `Task.evaluate_some`)."""
        known = count_rows(self._some_inputs)
        chosen = torch.arange(-(-min(n, known) // batch_size) * batch_size) % known
        outputs = [
            in_float(predict(take_rows(self._some_inputs, some))) for some in torch.split(chosen, batch_size)
        ]
        return UserEvaluation(None, len(chosen), join_rows(outputs)), chosen

    def take(self, evaluation: UserEvaluation, chosen: Tensor) -> UserEvaluation:
        """Return the answers to some of the examples."""
        return UserEvaluation(None, len(chosen), take_rows(evaluation.outputs, chosen))

    def agreement(self, a: UserEvaluation, b: UserEvaluation) -> float | None:
        """Return what the user's class says of two networks' outputs, where it does."""
        return self._own.agreement(a.outputs, b.outputs) if self._own.has("agreement") else None

    def difference(self, a: UserEvaluation, b: UserEvaluation) -> float | None:
        """Return the largest absolute difference of a number in the outputs."""
        largest = max(difference for difference, _ in max_difference(a.outputs, b.outputs))
        return largest if math.isfinite(largest) else None

    def alike(self, a: UserEvaluation, b: UserEvaluation, tolerance: float) -> bool:
        """Tell whether each output differs by no more than a fraction of its largest number."""
        return all(
            difference <= tolerance * size for difference, size in max_difference(a.outputs, b.outputs)
        )

    def metric_fields(self, evaluation: UserEvaluation, pruned: UserEvaluation) -> dict[str, Any]:
        """Return what a checkpoint keeps of its score."""
        return {**evaluation.named, "score_pruned": pruned.known.value}

    def score_fields(self, evaluation: UserEvaluation) -> dict[str, Any]:
        """Return the score, with its interval where there are values for examples."""
        return {**evaluation.named, **bounds("score", evaluation.known.interval)}

    def drop_fields(self, evaluation: UserEvaluation, dense: UserEvaluation) -> dict[str, Any]:
        """Return the score of the dense model, and how much worse this one is."""
        score, reference = evaluation.known, dense.known
        return {
            "score_dense": reference.value,
            "score_drop": score.drop_from(reference),
            **bounds("score_drop", score.drop_interval(reference)),
        }


def _answers_of(network: nn.Module) -> Predict:
    def predict(inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            return run(network, inputs)

    return predict

"""What a task is: what networks for it take and give, what they are trained on, and how they are scored.

Classification is one (`classification.py`), a user's own class another (`user.py`). All else of the program
knows tasks alone: it trains on their batches, times their examples, and records what their scores say.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pruning_core.config.spec import DatasetSpec, ModelSpec, TaskSpec, TrainSpec
from pruning_core.datasets.base import Dataset
from pruning_core.models.inputs import Inputs, Outputs, random_like, repeat_rows

Predict = Callable[[Inputs], Outputs]
"""Runs a network on any number of examples: inputs on the CPU → its outputs in float32, on the CPU."""

Evaluation = Any
"""What a network answered to the test examples, and how good that is: of a type that its task knows."""


class Signature(ABC):
    """What networks for a task take and give, known without the task's data."""

    spec: DatasetSpec | TaskSpec

    @abstractmethod
    def model_spec(self, name: str) -> ModelSpec:
        """Return the spec of a model for this task; what it builds is checked."""

    @abstractmethod
    def build(self, name: str, seed: int = 0) -> nn.Module:
        """Build an untrained network, its weights decided by `seed` alone, and check it.

        Raises:
            ModelError: If it cannot be built, or does not take the task's examples.
        """

    @abstractmethod
    def example(self) -> Inputs:
        """Return inputs of one example or several, on the CPU."""

    def one(self) -> Inputs:
        """Return inputs of one example."""
        return repeat_rows(self.example(), 1)

    def random_inputs(self, n: int, seed: int = 0) -> Inputs:
        """Draw inputs of `n` examples, the same in every run (see `random_like`)."""
        return random_like(self.example(), n, torch.Generator().manual_seed(seed))


class Extent(NamedTuple):
    """How much an epoch and an evaluation are, for a forecast."""

    batch: int  # examples
    steps: int  # of an epoch
    tested: int  # examples


class TrainingBatches(ABC):
    """The training examples of a task on a device, batch by batch, and the loss of each."""

    alike_steps = 0
    """Steps of the whole training whose batches are of one shape, as a CUDA graph needs them."""

    source_device = "cpu"
    """Kind of device on which lies what `make` takes."""

    @abstractmethod
    def steps(self) -> int:
        """Return how many batches an epoch has."""

    @abstractmethod
    def draw(self, epoch: int) -> Iterable[Any]:
        """Return what is drawn for an epoch, batch by batch; counted from 0."""

    @abstractmethod
    def size(self, drawn: Any) -> int:
        """Return how many examples a batch has, from what was drawn for it."""

    @abstractmethod
    def make(self, drawn: Any) -> tuple[Any, ...]:
        """Make a batch of what was drawn: on the device, its first item what the network takes."""

    @abstractmethod
    def loss(self, output: Outputs, batch: tuple[Any, ...]) -> Tensor:
        """Return the loss of what the network gave for a batch, in training mode."""

    @abstractmethod
    def distillation_loss(
        self, output: Outputs, batch: tuple[Any, ...], taught: Outputs, temperature: float
    ) -> Tensor:
        """Return how far what the network gave is from what the dense model gave.

        Raises:
            TaskError: If the task has no such measure.
        """


class Task(Signature):
    """A signature with data: what is learnt, and how it is scored."""

    @property
    @abstractmethod
    def images(self) -> Dataset:
        """The images of a classification.

        Raises:
            NotTimedError: If the task is no classification.
        """

    def check_training(self, how: TrainSpec) -> None:
        """Refuse a recipe that the task cannot follow.

        Raises:
            TaskError: In one line.
        """

    @abstractmethod
    def check(self, network: nn.Module) -> None:
        """Try loss and score with an untrained network, before any training.

        Raises:
            TaskError: If one of them is not what it must be.
        """

    @abstractmethod
    def extent(self, how: TrainSpec) -> Extent:
        """Return how much an epoch and an evaluation are."""

    @abstractmethod
    def training_batches(self, network: nn.Module, how: TrainSpec, device: torch.device) -> TrainingBatches:
        """Return the training examples on a device.

        Args:
            network: That is trained on them, on the device.
            how: It is trained.
            device: Where.
        """

    @abstractmethod
    def training_inputs(self, n: int, generator: torch.Generator) -> Iterator[Inputs]:
        """Return inputs of `n` training examples, as they come in an evaluation, in a few batches.

        Raises:
            TaskError: If there are none.
        """

    @abstractmethod
    def evaluate(self, predict: Predict) -> Evaluation:
        """Score a network on all test examples."""

    @abstractmethod
    def evaluate_some(self, predict: Predict, n: int, batch_size: int) -> tuple[Evaluation, Tensor]:
        """Let a network answer some test examples, in batches of one size alone; they are not scored.

        Args:
            predict: Runs the network.
            n: Examples, rounded up to whole batches; where there are fewer, some come again.
            batch_size: Of each batch.

        Returns:
            Its answers, and the indices of the examples among all, int64 (N,).
        """

    @abstractmethod
    def take(self, evaluation: Evaluation, chosen: Tensor) -> Evaluation:
        """Return the answers to some of the examples."""

    @abstractmethod
    def agreement(self, a: Evaluation, b: Evaluation) -> float | None:
        """Return the fraction of examples with the same answer; None where the task does not tell."""

    @abstractmethod
    def difference(self, a: Evaluation, b: Evaluation) -> float | None:
        """Return the largest absolute difference of a number in the outputs; None if it is no number."""

    @abstractmethod
    def alike(self, a: Evaluation, b: Evaluation, tolerance: float) -> bool:
        """Tell whether outputs differ by no more than a fraction of the largest."""

    @abstractmethod
    def metric_fields(self, evaluation: Evaluation, pruned: Evaluation) -> dict[str, Any]:
        """Return what a checkpoint keeps of its scores, after and before fine-tuning."""

    @abstractmethod
    def score_fields(self, evaluation: Evaluation) -> dict[str, Any]:
        """Return what every record says of a score."""

    @abstractmethod
    def drop_fields(self, evaluation: Evaluation, dense: Evaluation) -> dict[str, Any]:
        """Return what a record says of a score beside that of the dense model."""

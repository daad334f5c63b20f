"""Classification of images: cross-entropy is learnt, top-1 accuracy is the score."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.config.spec import DatasetSpec, ModelSpec, TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import announce_batches, make_batch, sample_epoch
from pruning_core.datasets.cut_out import cut_squares, draw_centres
from pruning_core.datasets.epoch import batch_sizes, split_epoch
from pruning_core.datasets.on_the_way import ImagesOnTheWay
from pruning_core.errors import OptionError
from pruning_core.measure.accuracy import Evaluation, agreement, evaluate, logit_difference
from pruning_core.models import build_model, model_spec
from pruning_core.models.inputs import Outputs
from pruning_core.records.record import pack_correct_bits
from pruning_core.tasks.base import Extent, Predict, Signature, Task, TrainingBatches
from pruning_core.tasks.class_outputs import Outputs as ClassOutputs
from pruning_core.tasks.seeds import derive_seed

MAX_DATA_FRACTION = 0.25
"""A training split moves to a GPU whole if it takes no more than this fraction of the free memory there."""

_CALIBRATION_BATCH = 256


class ImageClasses(Signature):
    """What networks for a dataset of images take and give: images, and a logit for each class."""

    spec: DatasetSpec

    def __init__(self, spec: DatasetSpec) -> None:
        """Hold the description of the images."""
        self.spec = spec

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.spec.channels, self.spec.height, self.spec.width

    def model_spec(self, name: str) -> ModelSpec:
        """Return the spec of a model for these images (see `models.model_spec`)."""
        return model_spec(name, self.spec.classes, self.image)

    def build(self, name: str, seed: int = 0) -> nn.Module:
        """Build an untrained network (see `models.build_model`)."""
        return build_model(name, self.spec.classes, self.image, seed)

    def example(self) -> Tensor:
        """Return an image of zeros, (1, C, H, W)."""
        return torch.zeros(1, *self.image)


class Classification(ImageClasses, Task):
    """A dataset of images as a task."""

    def __init__(self, dataset: Dataset) -> None:
        """Hold the dataset."""
        super().__init__(dataset.spec)
        self._dataset = dataset

    @property
    def images(self) -> Dataset:
        """The dataset."""
        return self._dataset

    def check(self, network: nn.Module) -> None:
        """Try nothing: loss and score are ours, and the network was checked when it was built."""

    def check_training(self, how: TrainSpec) -> None:
        """Refuse a square that would hide whole images."""
        side = min(self.spec.height, self.spec.width)
        if how.cut_out >= side:
            raise OptionError(
                f"cut_out: {how.cut_out} pixels would hide whole images of {self.spec.name}, which are "
                f"{self.spec.height}×{self.spec.width}; allowed: 0 to {side - 1}"
            )

    def extent(self, how: TrainSpec) -> Extent:
        """Return how much an epoch and an evaluation are."""
        count = len(self._dataset.train.labels)
        batch = min(how.batch_size, count)
        return Extent(batch, len(batch_sizes(count, batch)), len(self._dataset.test.labels))

    def training_batches(
        self, network: nn.Module, how: TrainSpec, device: torch.device
    ) -> "ClassificationBatches":
        """Return the training images on a device (see `Task.training_batches`)."""
        return ClassificationBatches(self._dataset, network, how, device)

    def training_inputs(self, n: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Return normalised training images, not augmented, chosen at random (see `Task.training_inputs`)."""
        train, spec = self._dataset.train, self.spec
        chosen = torch.randperm(len(train.labels), generator=generator)[:n]
        choices = sample_epoch(train, spec, _CALIBRATION_BATCH)[chosen]
        parts = split_epoch(choices, _CALIBRATION_BATCH)
        announce_batches(train, parts)
        for part in parts:
            yield make_batch(train, spec, part, "cpu")[0]

    def evaluate(self, predict: Predict) -> Evaluation:
        """Count the correct predictions on the whole test split."""
        return evaluate(predict, self._dataset.test, self.spec)

    def evaluate_some(self, predict: Predict, n: int, batch_size: int) -> tuple[Evaluation, Tensor]:
        """Predict some test images in whole batches (see `Task.evaluate_some`)."""
        test = self._dataset.test
        batches = -(-min(n, len(test.labels)) // batch_size)
        chosen = torch.arange(batches * batch_size) % len(test.labels)
        sizes = None if test.sizes is None else test.sizes[chosen]
        split = Split(test.images[chosen], test.labels[chosen], sizes)
        return evaluate(predict, split, self.spec, batch_size), chosen

    def take(self, evaluation: Evaluation, chosen: Tensor) -> Evaluation:
        """Return the predictions of some images; how many are correct is not asked for."""
        return Evaluation(0, len(chosen), evaluation.predictions[chosen], evaluation.logits[chosen])

    def agreement(self, a: Evaluation, b: Evaluation) -> float:
        """Return the fraction of images with the same prediction."""
        return agreement(a, b)

    def difference(self, a: Evaluation, b: Evaluation) -> float | None:
        """Return the largest absolute difference of a logit; None if it is no number."""
        return logit_difference(a, b)

    def alike(self, a: Evaluation, b: Evaluation, tolerance: float) -> bool:
        """Tell whether logits differ by no more than a fraction of the largest."""
        return torch.allclose(a.logits, b.logits, rtol=0.0, atol=tolerance * float(b.logits.abs().max()))

    def metric_fields(self, evaluation: Evaluation, pruned: Evaluation) -> dict[str, Any]:
        """Return what a checkpoint keeps of its accuracy."""
        return {
            "accuracy": evaluation.accuracy,
            "accuracy_pruned": pruned.accuracy,
            "accuracy_n": evaluation.n,
            "class_names": self._dataset.class_names,
        }

    def score_fields(self, evaluation: Evaluation) -> dict[str, Any]:
        """Return the accuracy with its interval."""
        low, high = evaluation.interval
        return {
            "accuracy": evaluation.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "accuracy_n": evaluation.n,
        }

    def drop_fields(self, evaluation: Evaluation, dense: Evaluation) -> dict[str, Any]:
        """Return the accuracy of the dense model, the drop, and which images were predicted correctly."""
        correct = evaluation.predictions == self._dataset.test.labels
        return {
            "dense_accuracy": dense.accuracy,
            "accuracy_drop": dense.accuracy - evaluation.accuracy,
            "correct_bits": pack_correct_bits(correct.tolist()),
        }


class ClassificationBatches(TrainingBatches):
    """Training images, shuffled and augmented; they move to a GPU once where they fit, and stay uint8."""

    def __init__(self, dataset: Dataset, network: nn.Module, how: TrainSpec, device: torch.device) -> None:
        """Move the images (see `Task.training_batches`)."""
        self._spec, self._how, self._device = dataset.spec, how, device
        self.split = move_split(dataset.train, device)
        self._outputs = ClassOutputs(network, dataset.spec.classes)
        self._sizes = batch_sizes(len(dataset.train.labels), how.batch_size)
        self.alike_steps = how.epochs * self._sizes.count(how.batch_size)
        self.source_device = self.split.images.device.type

    def steps(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._sizes)

    def draw(self, epoch: int) -> tuple[Tensor, ...]:
        """Draw the order of the images and their augmentation.

        Args:
            epoch: Counted from 0.

        Returns:
            What `make` takes, batch by batch: int64 (B, 1), (B, 4) or (B, 6), with cut-out two columns more,
            on the device of the images.
        """
        how = self._how
        shuffle = torch.Generator().manual_seed(derive_seed(how.seed, epoch, "order"))
        # The label is older than the argument; another one would draw other images for the same seed.
        augmentation = torch.Generator().manual_seed(derive_seed(how.seed, epoch, "variation"))
        choices = sample_epoch(
            self.split, self._spec, how.batch_size, shuffle, augmentation if how.augment else None
        )
        if how.cut_out:
            holes = torch.Generator().manual_seed(derive_seed(how.seed, epoch, "cut-out"))
            centres = draw_centres(len(choices), self._spec.height, self._spec.width, holes)
            choices = torch.cat([choices, centres], 1)
        batches = split_epoch(choices.to(self.split.images.device), how.batch_size)
        announce_batches(self.split, batches)
        return batches

    def size(self, drawn: Tensor) -> int:
        """Return how many images a batch has."""
        return len(drawn)

    def make(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Make a batch: float32 (B, C, H, W) and int64 (B,), on the device."""
        side = self._how.cut_out
        if not side:
            return make_batch(self.split, self._spec, drawn, self._device)
        images, labels = make_batch(self.split, self._spec, drawn[:, :-2], self._device)
        return cut_squares(images, drawn[:, -2:].to(self._device, non_blocking=True), side), labels

    def loss(self, output: Outputs, batch: tuple[Any, ...]) -> Tensor:
        """Return the cross-entropy, auxiliary heads included (see `class_outputs.py`)."""
        images, labels = batch
        return self._outputs.loss(output, images, labels, self._how.label_smoothing)

    def logits(self, output: Outputs, batch: tuple[Any, ...]) -> Tensor:
        """Return the logits in what the network gave: float (B, classes)."""
        return self._outputs.split(output, batch[0])[0]

    def distillation_loss(
        self, output: Outputs, batch: tuple[Any, ...], taught: Outputs, temperature: float
    ) -> Tensor:
        """Return the divergence from the dense model's softened predictions."""
        logits = self.logits(output, batch)
        t = temperature
        student, teacher = F.log_softmax(logits.float() / t, 1), F.log_softmax(taught.float() / t, 1)
        # t² keeps the gradient's size, whatever the temperature.
        return t * t * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def move_split(split: Split, device: torch.device) -> Split:
    """Return the split on a GPU that has room for it, else as it is: each batch then moves by itself."""
    if device.type != "cuda":
        return split
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if isinstance(split.images, ImagesOnTheWay) or split.images.nbytes > MAX_DATA_FRACTION * free_bytes:
        return split
    return Split(split.images.to(device), split.labels.to(device), split.sizes)

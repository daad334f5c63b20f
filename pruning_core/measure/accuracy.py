"""Top-1 accuracy over a whole split, counted, with its interval.

Takes any function from images to logits, so that a backend is judged by its own predictions. No model is
chosen by what is measured here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets.base import Split
from pruning_core.datasets.batches import batches
from pruning_core.errors import DatasetError, ModelError
from pruning_core.stats.intervals import wilson_interval

NO_PREDICTION = -1
"""The prediction for an image whose logits are not all numbers; equal to no label."""


@dataclass(frozen=True)
class Evaluation:
    """What a model predicted on a split."""

    correct: int
    n: int
    predictions: Tensor  # (N,) int64, class numbers in the split's order
    logits: Tensor  # (N, classes) float32 on the CPU

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions, over the images there are (not over batches × batch size)."""
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the accuracy: Wilson, 95 %."""
        return wilson_interval(self.correct, self.n)


def evaluate(
    predict: Callable[[Tensor], Tensor], split: Split, spec: DatasetSpec, batch_size: int = 256
) -> Evaluation:
    """Predict every image of a split.

    Args:
        predict: Maps float32 images (N, C, H, W) to logits (N, classes), for example `Executable.predict`.
        split: Images and labels.
        spec: The dataset they belong to; says how to normalise and how many classes there are.
        batch_size: Images in one call; the last call may get fewer.

    Raises:
        DatasetError: If the split is empty.
        ModelError: If the logits have another shape than (N, classes).
    """
    all_logits, predictions = [], []
    correct = 0
    for images, labels in batches(split, spec, batch_size):  # (N, C, H, W), (N,)
        logits = predict(images)  # (N, classes)
        expected = (len(images), spec.classes)
        if tuple(logits.shape) != expected:
            raise ModelError(
                f"a model for {spec.name} must return logits of shape (N, classes) = {expected} "
                f"for a batch of {len(images)} images; got {tuple(logits.shape)}"
            )
        predicted = _predictions(logits)
        correct += int((predicted == labels.cpu()).sum())
        predictions.append(predicted)
        all_logits.append(logits.float().cpu())
    if not predictions:
        raise DatasetError(f"the split of {spec.name} to evaluate on holds no images")
    whole = torch.cat(predictions)  # (N,)
    return Evaluation(correct=correct, n=len(whole), predictions=whole, logits=torch.cat(all_logits))


def agreement(a: Evaluation, b: Evaluation) -> float:
    """Return the fraction of images with the same prediction; where there is none, it agrees with nothing.

    Raises:
        ValueError: If the two were not evaluated on as many images: a mistake of ours.
    """
    if a.n != b.n:
        raise ValueError(f"evaluations of one split agree or not; got {a.n} and {b.n} images")
    same = (a.predictions == b.predictions) & (a.predictions != NO_PREDICTION)
    return int(same.sum()) / a.n


def logit_difference(a: Evaluation, b: Evaluation) -> float | None:
    """Return the largest absolute difference of a logit over all images; None if it is not a number."""
    difference = float((a.logits - b.logits).abs().max())
    return difference if math.isfinite(difference) else None


def _predictions(logits: Tensor) -> Tensor:
    logits = logits.float().cpu()
    # argmax takes NaN for the largest number, so a broken model would seem to predict.
    valid = ~logits.isnan().any(dim=1)
    return torch.where(valid, logits.argmax(dim=1), NO_PREDICTION)

"""Accuracy is counted over the images there are."""

import pytest
import torch
from torch import Tensor

from pruning_core.datasets.base import Split
from pruning_core.errors import DatasetError, ModelError
from pruning_core.measure.accuracy import NO_PREDICTION, agreement, evaluate, logit_difference
from pruning_core.stats.intervals import wilson_interval
from tests.helpers.factories import DIGITS_8


def split_of(labels: list[int]) -> Split:
    """Build a split whose images are of one grey that tells their label."""
    tensor = torch.tensor(labels, dtype=torch.int64)
    images = (tensor * 20).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()
    return Split(images, tensor)


def reader(images: Tensor) -> Tensor:
    """Answer with the label that the grey tells: right always."""
    pixels = (images[:, 0, 0, 0] * 0.25 + 0.5) * 255  # undoes the normalisation of DIGITS_8
    labels = (pixels / 20).round().long()
    return torch.nn.functional.one_hot(labels, 10).float()


def test_a_perfect_model_is_right_on_every_image_whatever_the_batch_size() -> None:
    """A last batch that is not full does not lower the accuracy of a perfect model."""
    split = split_of([i % 10 for i in range(89)])
    for batch_size in (1, 8, 88, 89, 256):
        evaluation = evaluate(reader, split, DIGITS_8, batch_size)
        assert (evaluation.correct, evaluation.n, evaluation.accuracy) == (89, 89, 1.0)


def test_counts_right_answers() -> None:
    """A model that always says 3 is right on the threes only; its predictions are kept, in order."""
    labels = [3, 1, 3, 7, 3, 0, 2]

    def says_3(images: Tensor) -> Tensor:
        return torch.eye(10)[3].expand(len(images), 10)

    evaluation = evaluate(says_3, split_of(labels), DIGITS_8, 3)
    assert (evaluation.correct, evaluation.n) == (3, 7)
    assert evaluation.predictions.tolist() == [3] * 7
    assert evaluation.predictions.dtype == torch.int64
    assert evaluate(reader, split_of(labels), DIGITS_8, 3).predictions.tolist() == labels


def test_batches_have_the_size_asked_for() -> None:
    """The model sees float32 images in batches of `batch_size`, the last one smaller."""
    seen = []

    def watch(images: Tensor) -> Tensor:
        seen.append((images.dtype, tuple(images.shape)))
        return reader(images)

    evaluate(watch, split_of([1] * 7), DIGITS_8, 3)
    assert seen == [(torch.float32, (n, 3, 32, 32)) for n in (3, 3, 1)]


def test_interval_is_wilsons() -> None:
    """The interval is the Wilson interval of the counts, at 95 %."""
    labels = [0] * 30 + [1] * 10

    def says_0(images: Tensor) -> Tensor:
        return torch.eye(10)[0].expand(len(images), 10)

    evaluation = evaluate(says_0, split_of(labels), DIGITS_8)
    assert evaluation.interval == wilson_interval(30, 40, 0.95)
    assert evaluation.interval[0] < evaluation.accuracy < evaluation.interval[1]


@pytest.mark.parametrize(
    "shape_of",
    [lambda n: (n, 9), lambda n: (n,), lambda n: (n, 10, 1), lambda n: (n + 1, 10), lambda n: (10, n)],
)
def test_logits_of_another_shape_are_refused(shape_of) -> None:
    """A model with too few classes, or with no class axis, gives one line with both shapes."""
    with pytest.raises(ModelError, match=r"\(N, classes\) = \(4, 10\).*; got") as caught:
        evaluate(lambda images: torch.zeros(shape_of(len(images))), split_of([1, 2, 3, 4]), DIGITS_8)
    assert "\n" not in str(caught.value)


def test_an_empty_split_is_refused() -> None:
    """No images give no accuracy, and an error that says so."""
    with pytest.raises(DatasetError, match="holds no images"):
        evaluate(reader, split_of([]), DIGITS_8)


def test_logits_that_are_no_numbers_are_no_answer() -> None:
    """A broken model is not credited with the class that argmax makes of NaN."""

    def broken(images: Tensor) -> Tensor:
        return torch.full((len(images), 10), float("nan"))

    evaluation = evaluate(broken, split_of([0, 0, 0]), DIGITS_8)
    assert evaluation.correct == 0
    assert evaluation.predictions.tolist() == [NO_PREDICTION] * 3
    assert agreement(evaluation, evaluation) == 0.0


def test_agreement_is_the_fraction_of_equal_predictions() -> None:
    """Two models agree where they give the same class, right or wrong."""
    split = split_of([1, 2, 3, 4])

    def partly(images: Tensor) -> Tensor:
        logits = reader(images)
        logits[0] = torch.eye(10)[9]
        return logits

    right, other = evaluate(reader, split, DIGITS_8), evaluate(partly, split, DIGITS_8)
    assert agreement(right, other) == 0.75
    assert agreement(other, other) == 1.0


def test_agreement_on_unlike_splits_is_a_mistake() -> None:
    """Evaluations of another number of images cannot be compared."""
    with pytest.raises(ValueError, match="got 2 and 3"):
        agreement(
            evaluate(reader, split_of([1, 2]), DIGITS_8), evaluate(reader, split_of([1, 2, 3]), DIGITS_8)
        )


def test_float_types_other_than_float32_are_read() -> None:
    """Logits in bfloat16 are counted like others."""
    split = split_of([5, 6, 7])
    assert evaluate(lambda images: reader(images).bfloat16(), split, DIGITS_8).accuracy == 1.0


def test_the_max_difference_of_a_logit_is_found() -> None:
    """One logit of one image decides; what is no number has no difference."""
    split = split_of([i % 10 for i in range(20)])

    def off_by_a_half(images: Tensor) -> Tensor:
        logits = reader(images)
        logits[-1, 4] -= 0.5
        return logits

    def broken(images: Tensor) -> Tensor:
        return reader(images) * float("nan")

    right, off, none = (evaluate(each, split, DIGITS_8, 8) for each in (reader, off_by_a_half, broken))
    assert right.logits.shape == (20, 10)
    assert logit_difference(right, right) == 0.0
    assert logit_difference(off, right) == 0.5
    assert logit_difference(none, right) is None

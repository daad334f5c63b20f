"""Classification is a task like any other, and what it learns is what it always learnt."""

import pytest
import torch
from torch.nn import functional as F

from pruning_core.config.spec import FineTuneSpec, TrainSpec
from pruning_core.datasets.batches import batches, make_batch, sample_epoch
from pruning_core.datasets.epoch import split_epoch
from pruning_core.errors import OptionError
from pruning_core.measure.accuracy import evaluate
from pruning_core.tasks.base import Task
from pruning_core.tasks.classification import Classification
from pruning_core.tasks.seeds import derive_seed
from pruning_core.training.batch_norm import recalibrate_batch_norms
from pruning_core.training.loop import train
from pruning_core.training.optimizers import make_optimizers
from pruning_core.training.schedule import learning_rate
from tests.helpers.factories import Tiny, bright_images
from tests.helpers.small_trainings import same

SPEC = TrainSpec(epochs=2, batch_size=16, learning_rate=0.05, precision="fp32", device="cpu", seed=3)


def test_weights_are_those_of_a_plain_training(monkeypatch):
    """To the last bit: the images of a seed, cross-entropy with smoothing, SGD, the schedule."""
    monkeypatch.setattr(
        "pruning_core.training.step.training_memory_format", lambda _: torch.contiguous_format
    )
    dataset = bright_images(crop_padding=2)
    torch.manual_seed(1)
    ours, plain = Tiny(), Tiny()
    plain.load_state_dict(ours.state_dict())
    train(ours, Classification(dataset), SPEC)
    (optimizer,) = make_optimizers(plain.train(), SPEC, torch.device("cpu"), "fp32", 3)
    step = 0
    for epoch in range(SPEC.epochs):
        shuffle, augmentation = (
            torch.Generator().manual_seed(derive_seed(SPEC.seed, epoch, purpose))
            for purpose in ("order", "variation")
        )
        choices = sample_epoch(dataset.train, dataset.spec, 16, shuffle, augmentation)
        for some in split_epoch(choices, 16):
            images, labels = make_batch(dataset.train, dataset.spec, some, "cpu")
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(SPEC, step, 8)
            optimizer.zero_grad()
            F.cross_entropy(plain(images), labels, label_smoothing=SPEC.label_smoothing).backward()
            optimizer.step()
            step += 1
    assert same(ours.state_dict(), plain.state_dict())


@pytest.mark.parametrize("augment", [False, True])
def test_cut_out_hides_squares_and_changes_nothing_else(augment):
    """The order and the augmentation are those without it; one square of each image is the mean."""
    dataset = bright_images(crop_padding=2)
    without, with_squares = (
        Classification(dataset).training_batches(
            Tiny(), SPEC.model_copy(update={"augment": augment, "cut_out": side}), torch.device("cpu")
        )
        for side in (0, 8)
    )
    hidden = []
    for plain, cut in zip(without.draw(1), with_squares.draw(1), strict=True):
        (images, labels), (cut_images, cut_labels) = without.make(plain), with_squares.make(cut)
        assert torch.equal(labels, cut_labels)
        square = (cut_images == 0).all(1, keepdim=True)
        assert torch.equal(cut_images, images.masked_fill(square, 0.0))
        hidden += square.sum((1, 2, 3)).tolist()
    assert max(hidden) == 8 * 8
    assert min(hidden) >= 4 * 4
    again = with_squares.draw(1)
    assert all(torch.equal(a, b) for a, b in zip(again, with_squares.draw(1), strict=True))
    assert not torch.equal(again[0][:, -2:], with_squares.draw(2)[0][:, -2:])


@pytest.mark.parametrize(("side", "fits"), [(31, True), (32, False), (40, False)])
def test_a_square_as_large_as_the_images_is_refused(side, fits):
    """Cut-out that could hide a whole image is one line, which says how large the images are."""
    task, how = Classification(bright_images()), SPEC.model_copy(update={"cut_out": side})
    if fits:
        task.check_training(how)
        return
    with pytest.raises(OptionError, match=rf"cut_out: {side} pixels .*32×32; allowed: 0 to 31"):
        task.check_training(how)


def test_batch_norms_get_the_images_they_always_got():
    """Those that the seed chooses, normalised and not augmented, whole batches of one pass."""
    dataset, spec = bright_images(crop_padding=2), FineTuneSpec(norm_images=40, seed=5)
    torch.manual_seed(1)
    network = Tiny()
    recalibrate_batch_norms(network, Classification(dataset), spec)
    shuffle = torch.Generator().manual_seed(derive_seed(5, 0, "norms"))
    chosen = torch.randperm(60, generator=shuffle)[:40]
    images, _ = make_batch(dataset.train, dataset.spec, chosen[:, None], "cpu")
    maps = network.stem(images)
    torch.testing.assert_close(network.norm.running_mean, maps.mean((0, 2, 3)))


def test_scores_are_accuracies():
    """What a record and a checkpoint hold are accuracy fields and nothing else."""
    task = Classification(bright_images())
    assert isinstance(task, Task)
    torch.manual_seed(1)
    network = Tiny().eval()
    with torch.no_grad():
        evaluation = task.evaluate(network)
    assert evaluation.accuracy == evaluate(network, task.images.test, task.spec).accuracy
    assert set(task.score_fields(evaluation)) == {
        "accuracy", "accuracy_low", "accuracy_high", "accuracy_n",
    }  # fmt: skip
    assert set(task.drop_fields(evaluation, evaluation)) == {
        "dense_accuracy", "accuracy_drop", "correct_bits",
    }  # fmt: skip
    assert set(task.metric_fields(evaluation, evaluation)) == {
        "accuracy", "accuracy_pruned", "accuracy_n", "class_names",
    }  # fmt: skip


def test_inputs_are_those_of_the_images():
    """Examples are zeros, times are taken of normal noise from seed 0, calibration of the seed's images."""
    task = Classification(bright_images())
    assert torch.equal(task.example(), torch.zeros(1, 3, 32, 32))
    noise = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(task.random_inputs(5), noise)
    (images,) = task.training_inputs(9, torch.Generator().manual_seed(0))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:9]
    every = torch.cat([part for part, _ in batches(task.images.train, task.spec, 60)])
    assert torch.equal(images, every[order])
